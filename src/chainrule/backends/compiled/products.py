"""Emit matrix products: small products as loops over tiles, large products as calls of BLAS."""

from __future__ import annotations

from typing import Any

from .program import Access, Product

LARGE = 2**19  # from this number of multiplications on, BLAS computes a product

_ROWS = 4  # the rows of a tile
_LANES = {"float": 16, "double": 8}  # the columns of a tile: a vector of 64 bytes


def emit_product(code: Any, product: Product, kind: str) -> None:
    """Emit a product. The columns of `b` must be adjacent in memory unless the product is large."""
    m, k, n = product.shape
    if m * k * n >= LARGE:
        _call_blas(code, product, kind)
        return
    start = 0
    while start < n:  # strips of columns, as wide as the largest power of two that is left
        width = min(_LANES[kind], 1 << ((n - start).bit_length() - 1))
        strip, whole = (n - start) // width * width, m // _ROWS * _ROWS
        for first, last, height in ((0, whole, _ROWS), (whole, m, m - whole)):
            if first < last:
                with code.loop(strip, width) as column, code.loop(last - first, height) as row:
                    i, j = code.place(first, [(row, 1)]), code.place(start, [(column, 1)])
                    _tile(code, product, kind, i, j, height, width)
        start += strip


def _tile(code: Any, product: Product, kind: str, i: str, j: str, height: int, width: int) -> None:
    """Compute ``out[i : i + height, j : j + width]``. A row of the tile stays in a register."""
    (_, k, _), a, b, out = product
    vector = f"<{width} x {kind}>"

    def address(x: Access, row: str, column: str, more: int = 0) -> str:
        place = code.place(x.offset + more, [(row, x.strides[0]), (column, x.strides[1])])
        found: str = code.address(x.buffer, place)
        return found

    rows = [code.slot(vector, "zeroinitializer") for _ in range(height)]
    with code.loop(k) as s:
        right = code(f"load {vector}, ptr {address(b, s, j)}, align 4")
        for r, slot in enumerate(rows):
            left = code(f"load {kind}, ptr {address(a, i, s, r * a.strides[0])}")
            lane = code(f"insertelement {vector} poison, {kind} {left}, i64 0")
            all_lanes = f"<{width} x i32> zeroinitializer"
            lanes = code(f"shufflevector {vector} {lane}, {vector} poison, {all_lanes}")
            product_ = code(f"fmul contract {vector} {lanes}, {right}")
            total = code(f"load {vector}, ptr {slot}")
            total = code(f"fadd contract {vector} {total}, {product_}")
            code.do(f"store {vector} {total}, ptr {slot}")
    for r, slot in enumerate(rows):
        total = code(f"load {vector}, ptr {slot}")
        place = address(out, i, j, r * out.strides[0])
        code.do(f"store {vector} {total}, ptr {place}, align 4")


def _call_blas(code: Any, product: Product, kind: str) -> None:
    """Call BLAS's ``gemm``, ``out = 1.0 * a @ b + 0.0 * out``, for matrices in row-major order."""
    m, k, n = product.shape
    pointers, flags, steps = [], [], []
    for x in (product.a, product.b, product.out):
        pointers.append(f"ptr {code.address(x.buffer, str(x.offset))}")
        flags.append(f"i32 {111 if x.strides[1] == 1 else 112}")
        steps.append(f"i64 {max(x.strides)}")
    (a, b, out), (ta, tb, _), (step_a, step_b, step_out) = pointers, flags, steps
    one, zero = f"{kind} 1.0", f"{kind} 0.0"
    code.do(
        f"call void @{kind}_gemm(i32 101, {ta}, {tb}, i64 {m}, i64 {n}, i64 {k}, {one}, "
        f"{a}, {step_a}, {b}, {step_b}, {zero}, {out}, {step_out})"
    )
    kinds = f"i32, i32, i32, i64, i64, i64, {kind}, ptr, i64, ptr, i64, {kind}, ptr, i64"
    code.declared.add(f"declare void @{kind}_gemm({kinds})")
