"""The parts of tools/vm: kernels, guest images, the machine, its kernel log."""
