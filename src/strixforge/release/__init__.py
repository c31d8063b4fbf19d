"""From artifacts to something to hand over: the wheelhouse, its locks, installer and activation."""
