"""What Pillow makes of the images here, for test_image.c and test_resize.c.

    python make.py

Writes the images that are made here (synthetic-*), unless they are there already,
then expected.tsv, resize.tsv and *.rgb. Needs Pillow 13 and numpy.
"""
import hashlib
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
LOSSY = (".jpg", ".jpeg", ".lossy.webp")  # expected as pixels: other library versions may differ by one level
KEY_OF_4_BITS = "tbbn0g04.png"  # has transparent pixels; Pillow takes their level for one of 8 bits
NOT_IMAGES = {".py", ".md", ".tsv", ".rgb"}


# --- the images that no collection has -------------------------------------------

def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, colour, rows, before=(), after=(), interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"".join([b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", header), *before,
                     png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), *after,
                     png_chunk(b"IEND", b"")])


def exif(orientation, endian=">"):
    return ((b"MM" if endian == ">" else b"II") + struct.pack(endian + "HIHHHIHHI", 42, 8, 1, 274, 3, 1, orientation, 0, 0))


def riff(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def u24(n):
    return struct.pack("<I", n)[:3]


def encode(array, mode, **how):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, **how)
    return out.getvalue()


ADAM7 = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))


def interlaced(array, colour):
    """An interlaced PNG of bytes [height, width, channels]."""
    passes = (array[y::dy, x::dx] for y, dy, x, dx in ADAM7)
    rows = [row.tobytes() for part in passes if part.shape[1] for row in part]
    return png(array.shape[1], array.shape[0], 8, colour, rows, interlace=1)


def as_ycck(jpeg):
    """A CMYK file whose Adobe marker says that it holds YCCK: other colours, a valid file."""
    at = jpeg.index(b"Adobe")
    return jpeg[:at + 11] + b"\2" + jpeg[at + 12:]


def animated_png(colours):
    """Its first frame is not the image that readers without animation show."""
    frame = lambda n: png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, 5, 6, 0, 0, 1, 10, 0, 0))
    data = lambda array: zlib.compress(b"".join(b"\0" + row.tobytes() for row in array))
    return png(5, 6, 8, 6, [row.tobytes() for row in colours],
               before=[png_chunk(b"acTL", struct.pack(">II", 2, 0))],
               after=[frame(0), png_chunk(b"fdAT", struct.pack(">I", 1) + data(255 - colours)),
                      frame(2), png_chunk(b"fdAT", struct.pack(">I", 3) + data(colours // 2))])


def synthetic():
    grey = [bytes(40 * y + 10 * x for x in range(3)) for y in range(2)]
    three = lambda **more: png(3, 2, 8, 0, grey, **more)
    wide = [struct.pack(">7H", 0, 1, 254, 255, 256, 257, 65535)]
    indices = [bytes([0, 1, 2, 5, 255])]
    palette = png_chunk(b"PLTE", bytes(range(10, 100, 10)))
    xmp = b'<x:xmpmeta><rdf tiff:Orientation="8"/></x:xmpmeta>'
    profile = b"\nexif\n      26\n" + exif(7).hex().encode() + b"\n"
    noise = np.random.default_rng(7)
    colours = noise.integers(0, 256, (6, 5, 4), dtype=np.uint8)
    smooth = np.add.outer(np.arange(16) * 9, np.arange(24) * 4)[..., None] % 256 * np.array([1, .5, .25, .7])
    smooth = smooth.astype(np.uint8)

    yield "grey16-is-cut.png", png(7, 1, 16, 0, wide)
    yield "short-palette.png", png(5, 1, 8, 3, indices, [palette, png_chunk(b"tRNS", b"\x80\0")])
    yield "no-palette.png", png(5, 1, 8, 3, indices)
    yield "long-palette.png", png(5, 1, 8, 3, indices, [png_chunk(b"PLTE", bytes(257 * 3))])
    yield "exif-5.png", three(before=[png_chunk(b"eXIf", exif(5))])
    yield "exif-6-at-end.png", three(after=[png_chunk(b"eXIf", exif(6, "<"))])
    yield "exif-no-tiff.png", three(before=[png_chunk(b"eXIf", b"no TIFF here")])
    yield "profile-7.png", three(before=[png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))])
    yield "profile-bad.png", three(before=[png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 2\nxy")])
    yield "xmp-8.png", three(before=[png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)])
    yield "xmp-8-packed.png", three(before=[png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp))])
    yield "exif-before-xmp.png", three(before=[png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp), png_chunk(b"eXIf", exif(2))])
    yield "bad-crc-after-data.png", three(after=[png_chunk(b"eXIf", exif(3))[:-4] + b"\0\0\0\0"])
    yield "bad-crc-before-data.png", three(before=[png_chunk(b"eXIf", exif(3))[:-4] + b"\0\0\0\0"])
    yield "bad-filter.png", png(3, 1, 8, 0, [b""]).replace(zlib.compress(b"\0"), zlib.compress(b"\x09abc"))
    yield "cut-in-needed-data.png", three()[:45]
    yield "no-end.png", three()[:-12]
    yield "small-first-frame.png", png(4, 3, 8, 2, [bytes(range(1, 7))] * 2, [
        png_chunk(b"acTL", struct.pack(">II", 1, 0)), png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2, 2, 1, 1, 1, 1, 0, 0))])
    frame_data = png_chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(b"".join(b"\0" + row for row in grey)))
    frame_only = three(before=[png_chunk(b"acTL", struct.pack(">II", 1, 0)), png_chunk(
        b"fcTL", struct.pack(">IIIIIHHBB", 0, 3, 2, 0, 0, 1, 1, 0, 0)), frame_data])
    yield "frame-data-only.png", frame_only[:frame_only.index(b"IDAT") - 4] + png_chunk(b"IEND", b"")
    yield "too-large.png", png(1 << 15, (1 << 13) + 1, 8, 0, [b"\0"])
    yield "no-size.png", png(0, 5, 8, 0, [b""])
    yield "cmyk.jpg", encode(smooth, "CMYK", format="JPEG", quality=90)
    yield "grey.jpg", encode(smooth[..., 0].copy(), "L", format="JPEG", quality=90)
    yield "progressive-exif-3.jpg", encode(smooth[..., :3].copy(), "RGB", format="JPEG", progressive=True, exif=b"Exif\0\0" + exif(3))
    yield "exif-no-tiff.jpg", encode(smooth[..., :3].copy(), "RGB", format="JPEG", exif=b"Exif\0\0no TIFF here")
    yield "exif-no-tiff-dpi.jpg", encode(smooth[..., :3].copy(), "RGB", format="JPEG", dpi=(72, 72), exif=b"Exif\0\0no TIFF here")
    yield "alpha.webp", encode(colours, "RGBA", format="WEBP", lossless=True, exact=True)
    pixels = encode(colours[..., :3].copy(), "RGB", format="WEBP", lossless=True)[12:]
    extended = lambda flags, w, h: riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + u24(w - 1) + u24(h - 1))
    yield "exif-4.webp", riff(extended(8, 5, 6), pixels, riff_chunk(b"EXIF", b"Exif\0\0" + exif(4)))
    yield "xmp-8.webp", riff(extended(4, 5, 6), pixels, riff_chunk(b"XMP ", xmp))
    frame = u24(1) + u24(0) + u24(4) + u24(5) + u24(100) + b"\0" + pixels
    yield "animated.webp", riff(extended(2, 8, 7), riff_chunk(b"ANIM", bytes(6)), riff_chunk(b"ANMF", frame))
    yield "frame-outside.webp", riff(extended(2, 5, 6), riff_chunk(b"ANIM", bytes(6)), riff_chunk(b"ANMF", frame))
    yield "cut.webp", riff(extended(8, 5, 6), pixels, riff_chunk(b"EXIF", exif(4)))[:-9]
    wide_colours = np.concatenate([colours, colours[::-1]], axis=-1)  # 16 bits a channel, high byte first
    for name, colour, channels in (("rgb16", 2, 6), ("rgba16", 6, 8), ("grey-alpha16", 4, 4)):
        yield f"{name}.png", png(5, 6, 16, colour, [row[:, :channels].tobytes() for row in wide_colours])
    yield "rgba-interlaced.png", interlaced(colours, 6)
    yield "grey-alpha-interlaced.png", interlaced(colours[..., :2], 4)
    yield "opaque-rgba.png", encode(colours | np.array([0, 0, 0, 255], np.uint8), "RGBA", format="PNG")
    yield "opaque.webp", encode(colours | np.array([0, 0, 0, 255], np.uint8), "RGBA", format="WEBP", lossless=True)
    yield "palette-alpha.png", png(5, 1, 8, 3, indices, [palette, png_chunk(b"tRNS", b"\xff\xff\x80")])
    yield "palette-alpha-unused.png", png(5, 1, 8, 3, [bytes([0, 1, 1, 0, 1])], [palette, png_chunk(b"tRNS", b"\xff\xff\0")])
    yield "palette-bits.png", png(9, 2, 1, 3, [b"\xa5\x80", b"\x3c\0"], [palette, png_chunk(b"tRNS", b"\0")])
    yield "grey-key.png", three(before=[png_chunk(b"tRNS", b"\0\x0a")])
    yield "grey16-key.png", png(7, 1, 16, 0, wide, [png_chunk(b"tRNS", b"\0\xff")])
    yield "bits-key.png", png(9, 2, 1, 0, [b"\xa5\x80", b"\x3c\0"], [png_chunk(b"tRNS", b"\0\0")])
    yield "rgb-key.png", png(5, 6, 8, 2, [row[:, :3].tobytes() for row in colours],
                             [png_chunk(b"tRNS", b"".join(b"\0" + bytes([c]) for c in colours[0, 0, :3]))])
    yield "apng-frame-after.png", animated_png(colours)
    yield "ycck.jpg", as_ycck(encode(smooth, "CMYK", format="JPEG", quality=90))
    yield "rgb.jpg", encode(smooth[..., :3].copy(), "RGB", format="JPEG", keep_rgb=True)
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        yield f"{sampling.replace(':', '')}-odd.jpg", encode(
            smooth[:15, :23, :3].copy(), "RGB", format="JPEG", subsampling=sampling, progressive=sampling == "4:2:0")
    for orientation in range(2, 9):
        yield f"exif-{orientation}.jpg", encode(smooth[:8, :, :3].copy(), "RGB", format="JPEG", exif=b"Exif\0\0" + exif(orientation))
        yield f"exif-{orientation}-pillow.png", encode(colours[..., :3].copy(), "RGB", format="PNG", exif=exif(orientation))
        yield f"exif-{orientation}-pillow.webp", encode(
            colours[..., :3].copy(), "RGB", format="WEBP", lossless=True, exif=exif(orientation))
    yield "alpha-exif-6.lossy.webp", encode(smooth, "RGBA", format="WEBP", quality=80, exact=True, exif=exif(6))
    frames = [Image.fromarray(array, "RGBA") for array in (smooth, smooth[::-1].copy())]
    for name, how in (("animated-alpha.webp", {"lossless": True, "exact": True}), ("animated-alpha.lossy.webp", {"quality": 80})):
        out = io.BytesIO()
        frames[0].save(out, format="WEBP", save_all=True, append_images=frames[1:], **how)
        yield name, out.getvalue()
    yield "nothing.png", b""
    yield "text.png", b"no image at all\n"


# --- what is expected ---------------------------------------------------------------

def decode(path):
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            is_opaque = np.asarray(upright.convert("RGBA"))[..., 3].min() == 255
            is_transparent = not is_opaque or path.name == KEY_OF_4_BITS
            return upright.convert("RGB"), "transparent" if is_transparent else "opaque"
    except Exception:
        return None, "-"


def write_expected():
    lines = ["file\twidth\theight\tsha256 of the RGB bytes, or what else is expected\tits pixels"]
    for path in sorted(HERE.iterdir()):
        if path.suffix in NOT_IMAGES:
            continue
        image, alpha = decode(path)
        if image is None:
            lines.append(f"{path.name}\t0\t0\trefused\t{alpha}")
        elif path.name.endswith(LOSSY):
            (HERE / f"{path.name}.rgb").write_bytes(image.tobytes())
            lines.append(f"{path.name}\t{image.width}\t{image.height}\tpixels\t{alpha}")
        else:
            lines.append(f"{path.name}\t{image.width}\t{image.height}\t{hashlib.sha256(image.tobytes()).hexdigest()}\t{alpha}")
    (HERE / "expected.tsv").write_text("\n".join(lines) + "\n")


def pattern(seed, width, height):
    """The pattern of test_resize.c: noise; black and white for odd seeds, where overshoot is cut off."""
    state, values = seed, np.empty(width * height * 3, np.uint8)
    for i in range(values.size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = state >> 24 if seed % 2 == 0 else 255 * (state >> 31)
    return Image.frombytes("RGB", (width, height), values.tobytes())


SIZES = [  # width, height, new width, new height
    (1, 1, 1, 1), (1, 1, 5, 7), (7, 5, 1, 1), (1, 9, 4, 9), (9, 1, 9, 4), (2, 3, 3, 2), (3, 3, 3, 3),
    (16, 12, 8, 6), (17, 13, 8, 5), (8, 5, 17, 13), (31, 29, 30, 28), (31, 29, 32, 30), (64, 48, 28, 28),
    (50, 40, 56, 28), (40, 50, 28, 56), (100, 3, 7, 3), (3, 100, 3, 7), (3, 100, 9, 7), (100, 3, 7, 9),
    (200, 1, 1, 1), (1, 200, 1, 1), (1, 1, 100, 1), (61, 47, 224, 140), (120, 90, 14, 98),
    # The border of Pillow 13's rule: columns first when the height shrinks, and by
    # more than twice what the width shrinks.
    (20, 30, 15, 20), (20, 30, 15, 19), (20, 30, 16, 20), (20, 30, 16, 21), (20, 30, 16, 22), (20, 30, 20, 29),
    (20, 30, 21, 29), (20, 30, 40, 29), (20, 30, 40, 31), (20, 30, 19, 28), (20, 30, 19, 27), (40, 44, 64, 1),
]


def write_resize():
    lines = ["seed\twidth\theight\tnew width\tnew height\tfilter\tsha256 of the RGB bytes"]
    for seed, (width, height, new_width, new_height) in enumerate(SIZES):
        for s in (2 * seed, 2 * seed + 1):
            image = pattern(s, width, height)
            for resample in (Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
                resized = image.resize((new_width, new_height), resample).tobytes()
                lines.append(f"{s}\t{width}\t{height}\t{new_width}\t{new_height}\t{int(resample)}\t"
                             f"{hashlib.sha256(resized).hexdigest()}")
    (HERE / "resize.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, data in synthetic():
        path = HERE / f"synthetic-{name}"
        if not path.exists():
            path.write_bytes(data)
    write_expected()
    write_resize()
