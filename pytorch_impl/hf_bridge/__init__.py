"""Everything that touches the insides of `transformers` and PEFT. It has no counterpart in MindSpore."""
