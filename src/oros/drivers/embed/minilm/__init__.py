"""MiniLM, a small model of English sentences, by ONNX Runtime."""
