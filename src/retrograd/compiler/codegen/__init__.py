"""From kernels to text that LLVM assembles: functions, vectors of lanes, and mathematics on them."""
