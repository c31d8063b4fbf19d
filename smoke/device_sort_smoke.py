"""device_sort: rocPRIM sorts, scans and adds as Python does."""

import itertools
import random
from array import array

import device_sort

COUNT = 100_000
numbers = random.Random(0)
values = array("I", (numbers.randrange(1 << 10) for _ in range(COUNT)))
assert list(device_sort.sort_keys(values)) == sorted(values), "it does not sort"
assert list(device_sort.inclusive_scan(values)) == list(itertools.accumulate(values)), "no scan"
assert device_sort.reduce(values) == sum(values), "the sum is another one"
print(f"{COUNT} numbers sorted, scanned and added")
