"""The valid files to damage."""

import hashlib
import json
import struct

import numpy as np

import chainrule as cr


def idx(array, code):
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def models():
    """Return small models that together have every feature of an architecture."""
    shared = cr.Linear(3, 3, init=cr.initializers.normal(0.5))
    return [
        cr.Sequential(cr.Linear(4, 3), cr.ReLU(), cr.Linear(3, 2), seed=1),
        cr.Sequential(shared, cr.Sequential(cr.LeakyReLU(0.2), cr.Dropout(p=0.1)), shared, seed=2),
        cr.Sequential(cr.Rescaling(0.5, offset=-1.0), cr.Linear(2, 1, bias=False), dtype="float64"),
    ]


def trainer():
    """Return a trainer with momentum and running statistics, stopped within an epoch."""
    layers = cr.Linear(4, 3), cr.BatchNorm(3), cr.Dropout(0.1), cr.Linear(3, 2)
    made = cr.Trainer(cr.Sequential(*layers, seed=3), loss=cr.MSELoss(), optimizer=optimizer())
    x = np.random.default_rng(0).normal(size=(10, 4))
    made.fit(x, x[:, :2], epochs=2, batch_size=4, verbose=0)
    return made


def optimizer():
    return cr.SGD(lr=0.01, momentum=0.9)


def split(file):
    """Split a safetensors file into its header and its data."""
    start = 8 + int.from_bytes(file[:8], "little")
    return json.loads(file[8:start]), file[start:]


def join(header, data):
    """Make a safetensors file from a header (a dict or bytes) and data."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header, separators=(",", ":")).replace('"@huge@"', "9" * 5000)
    header = header if isinstance(header, bytes) else header.encode(errors="surrogatepass")
    return struct.pack("<Q", len(header)) + header + data


def foreign(model, dtype, code, metadata):
    """Return a file with the weights of a model, as another library would write it."""
    header, data = dict(metadata), b""
    for name, p in stored(model).items():
        value = p.value.astype(dtype).tobytes()
        place = [len(data), len(data) + len(value)]
        header[name] = {"dtype": code, "shape": list(p.shape), "data_offsets": place}
        data += value
    return join(header, data)


def sign(file):
    """Correct the SHA-256 of a file, if it has one."""
    at = file.find(b'"sha256":"') + 10
    if at < 10:
        return file
    blank = file[:at] + b"0" * 64 + file[at + 64 :]
    return file[:at] + hashlib.sha256(blank).hexdigest().encode() + file[at + 64 :]


class Sources:
    """The valid files of each kind, and their models."""

    def __init__(self, folder):
        self.trainer = trainer()
        self.models = [*models(), self.trainer.model]
        saved = []
        for thing in (*self.models[:-1], self.trainer):
            thing.save(folder / "saved")
            saved.append((folder / "saved").read_bytes())
        images = np.arange(6 * 5 * 4, dtype="u1").reshape(6, 5, 4)
        plain = [
            idx(images, 0x08),
            idx(np.arange(50, dtype="i2"), 0x0B),
            idx(np.linspace(0, 1, 12).reshape(3, 4), 0x0E),
        ]
        formats = [("f4", "F32", {}), ("f8", "F64", {"__metadata__": {"format": "pt"}})]
        others = [foreign(m, *f) for m in self.models for f in formats]
        self.files = {
            "idx": plain,
            "gzip": plain,  # damaged first, then compressed
            "model": saved,
            "signed": saved,
            "foreign": others,
        }
        self.model_of = {
            "model": self.models,
            "signed": self.models,
            "foreign": [m for m in self.models for _ in formats],
        }


def stored(model):
    return {
        **model.named_stored(),
    }
