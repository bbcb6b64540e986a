"""One call for every name that programs use, by the sections of torch_names.txt."""
