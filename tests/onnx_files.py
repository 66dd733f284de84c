"""ONNX files, as onnxruntime runs them, and a custom layer that can be written to one."""

from table import Scale


class ScaleToOnnx(Scale):
    def to_onnx(self, graph, x):
        return graph.node("Mul", x, self.gain)


def session(path):
    """The file in onnxruntime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def outputs(path, x):
    """What onnxruntime computes from this input by the file."""
    return session(path).run(None, {"input": x})[0]
