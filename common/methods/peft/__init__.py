"""Adapters in the format of Hugging Face PEFT: one module for each of PEFT's methods, and a form of our own."""
