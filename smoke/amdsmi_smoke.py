"""amdsmi: it lists the GPUs, which is how vLLM finds them."""

import amdsmi

amdsmi.amdsmi_init()
try:
    count = len(amdsmi.amdsmi_get_processor_handles())
finally:
    amdsmi.amdsmi_shut_down()
assert count > 0, "amdsmi lists no GPU"
print(f"{count} GPUs listed")
