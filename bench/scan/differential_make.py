"""Random files of pickles for differential.py: made of statements that readers could take differently, then cut into frames
and changed. Nothing here loads them, and what they name is never run."""

from __future__ import annotations

import random
import struct

# What a scan calls dangerous, and what it has never heard of.
DANGEROUS = [("os", "system"), ("posix", "popen"), ("subprocess", "Popen"), ("builtins", "eval")]
HARMFUL = [*DANGEROUS, ("evil", "run"), ("evil.inner", "run.now")]
# What a scan passes, with a call that it passes too.
HARMLESS = {
    ("collections", "OrderedDict"): b")R", ("argparse", "Namespace"): b")\x81", ("builtins", "list"): b")R", ("builtins", "set"): b"]\x85R",
    ("uuid", "UUID"): b")\x81", ("collections", "Counter"): b"}\x85R", ("pathlib", "PosixPath"): b")R",
}  # fmt: skip
EXTENSIONS = [".pkl"] * 8 + [".pt", ".pth", ".joblib", ".joblib", ".bin", ".dat", "", ".txt"]
OPCODES = b"(.012FIJKLMNPQRSTUVXabcd}eghijl]opqrstu)GBC\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98"


def file(seed: int, number: int) -> tuple[str, bytes]:
    """File `number` of a seed: its name and its bytes."""
    rng = random.Random(f"{seed}/{number}")
    data = Maker(rng).file()
    return f"{number:07}-x{rng.choice(EXTENSIONS)}", data


class Maker:
    """Writes one file. Keeps two memos, as readers do that forget the first pickle's and readers that do not."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.harmful = rng.choice(HARMFUL if rng.random() < 0.3 else DANGEROUS)
        self.harmless = rng.choice(list(HARMLESS))
        # Files that name what is harmful plainly show little: a scan fails them whatever else is in them.
        self.plain = rng.random() < 0.15
        # How often something odd is written: most oddities end the reading.
        self.odd = rng.choice([0.0, 0.02, 0.05, 0.2])
        self.memos: tuple[set[int], set[int]] = (set(), set())
        # Where a pair of names was written, in either memo.
        self.pairs: list[tuple[int, int]] = []

    def file(self) -> bytes:
        rng = self.rng
        # What breaks off in its first pickle fails a scan for that alone.
        parts = [self.quiet()] if rng.random() < 0.6 else []
        parts += [self.pickle() for _ in range(rng.choice([1, 1, 2, 2, 3, 4]))]
        if rng.random() < 0.15:
            parts.insert(rng.randrange(len(parts) + 1), bytes(rng.choice(OPCODES) for _ in range(rng.randrange(1, 12))))
        data = b"".join(parts)
        if rng.random() < 0.3:
            data = self.changed(data)
        while self.odd > 0.1 and rng.random() < 0.4:
            data = self.changed(data)
        return data

    def quiet(self) -> bytes:
        """A pickle that every reader takes, and that does nothing."""
        rng = self.rng
        kept = b"".join(self.remember() for _ in range(rng.randrange(3)))
        return rng.choice([b"", b"\x80\x04"]) + kept + b"N."

    def changed(self, data: bytes) -> bytes:
        """The bytes with a small change."""
        rng, at = self.rng, self.rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice([1, 1, 2, 4, 9]))
        what = rng.randrange(7)
        if what == 0:
            return data[:at] + data[end:]
        if what == 1:
            return data[:at] + data[at:end] * 2 + data[end:]
        if what == 2:
            return data[:at] + bytes([rng.choice(OPCODES)]) + data[at:]
        if what == 3:
            return data[:at] + bytes([rng.choice(OPCODES)]) + data[at + 1 :]
        if what == 4:
            return data[:at] + rng.choice([b"\n", b"\0", b"\xff", b".", b" ", b"\r", b"'", b"\\"]) + data[at:]
        if what == 5:
            other = rng.randrange(len(data) + 1)
            return data[:at] + data[other : other + 20] + data[at:]
        return data[:at] if rng.random() < 0.3 else data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]

    def pickle(self) -> bytes:
        rng = self.rng
        protocol = rng.choice([0, 1, 2, 3, 4, 4, 4, 5])
        body = [b"\x80" + bytes([protocol])] if rng.random() < 0.7 else []
        self.memos[0].clear()
        for _ in range(rng.randrange(1, 9)):
            body.append(self.statement())
        if rng.random() < 0.95:
            body.append(rng.choice([b"N", b"", b"]", b"K\x01"]) + b".")
        return self.framed(body) if rng.random() < 0.4 else b"".join(body)

    def framed(self, body: list[bytes]) -> bytes:
        """With frames that begin between statements and end anywhere."""
        rng = self.rng
        first = rng.randrange(len(body) + 1)
        last = rng.randrange(first, len(body) + 1)
        inside = b"".join(body[first:last])
        length = len(inside)
        if rng.random() < 0.5:
            length += rng.choice([-9, -5, -4, -3, -2, -1, -1, 1, 1, 2, 3, 4, 8])
        if rng.random() < 0.05:
            length = rng.choice([0, 1 << 31, 1 << 63, (1 << 64) - 1])
        frame = b"\x95" + struct.pack("<Q", max(0, length) & (1 << 64) - 1)
        return b"".join(body[:first]) + frame + inside + b"".join(body[last:])

    def statement(self) -> bytes:
        rng = self.rng
        if rng.random() < self.odd:
            return rng.choice([self.quirk, self.quirk, self.torn])()
        kinds = [self.remember] * 5 + [self.recall] * 5 + [self.noise] * 2 + [self.harmless_call] * 2
        if self.plain:
            kinds += [self.plain_call] * 2
        return rng.choice(kinds)()

    def string(self, text: str) -> bytes:
        """A string, in one of its spellings."""
        rng, raw = self.rng, text.encode()
        what = rng.randrange(12)
        if what == 0:
            return b"V" + raw + b"\n"
        if what == 1:
            return b"V" + b"".join(rng.choice([b"\\u%04x" % b, b"\\U%08x" % b, bytes([b])]) for b in raw) + b"\n"
        if what == 2:
            quote = rng.choice([b"'", b'"'])
            return b"S" + quote + raw + quote + (rng.choice([b" ", b"\r", b"\t ", b"\x80"]) if rng.random() < self.odd else b"") + b"\n"
        if what == 3:
            escaped = b"".join(rng.choice([b"\\x%02x" % b, b"\\%03o" % b, b"\\%o" % b, bytes([b]), b"\\\n" + bytes([b])]) for b in raw)
            return b"S'" + escaped + b"'\n"
        if what == 4:
            return b"U" + bytes([len(raw)]) + raw
        if what == 5:
            return b"T" + struct.pack("<I", len(raw)) + raw
        if what == 6:
            return b"\x8d" + struct.pack("<Q", len(raw)) + raw
        if what in (7, 8):
            return b"X" + struct.pack("<I", len(raw)) + raw
        return b"\x8c" + bytes([len(raw)]) + raw

    def number(self, value: int) -> bytes:
        """A line with a number, in one of its spellings."""
        rng = self.rng
        plain = str(value)
        if rng.random() >= max(0.05, self.odd):
            return plain.encode() + b"\n"
        zeros = "0" * rng.choice([1, 2, 7, 70])
        spelling = rng.choice([zeros + plain, "+" + plain, " " + plain, plain + " ", "-" + plain, plain[0] + "_" + plain,
                                             plain + "\0x", "\0" + plain, plain + "L", hex(value), oct(value), "", plain + "\r", "\x0c" + plain])  # fmt: skip
        return spelling.encode() + b"\n"

    def put(self) -> tuple[bytes, tuple[int, int]]:
        """Writes what is on the stack to the memo; under which index, in either."""
        rng, (alone, shared) = self.rng, self.memos
        if rng.random() < 0.5:
            at = (len(alone), len(shared))
            out = b"\x94"
        else:
            index = rng.choice([len(alone), len(shared), rng.randrange(8)])
            at = (index, index)
            out = rng.choice([b"p" + self.number(index), b"r" + struct.pack("<I", index), b"q" + bytes([index & 255])])
        alone.add(at[0])
        shared.add(at[1])
        return out, at

    def get(self, index: int) -> bytes:
        how = self.rng.randrange(4)
        if how == 0:
            return b"g" + self.number(index)
        return b"j" + struct.pack("<I", index) if how == 1 else b"h" + bytes([index & 255])

    def remember(self) -> bytes:
        """Two names written to the memo."""
        rng = self.rng
        out, places = b"", []
        for text in rng.choice([self.harmful, self.harmless]):
            put, at = self.put()
            places.append(at)
            out += self.string(text) + put + (b"(1" if rng.random() < self.odd else b"") + b"0"
        self.pairs += zip(*places)
        return out

    def call(self) -> bytes:
        """What calls the callable that is on the stack."""
        rng, text = self.rng, self.string("echo inert")
        return rng.choice([text + b"\x85R", b"(" + text + b"tR", b")R", b")\x81", text + b"\x85\x81", b")}\x92", b"", b"0"])

    def recall(self) -> bytes:
        """A callable by names from the memo, called."""
        rng = self.rng
        first, second = rng.choice(self.pairs or [(0, 1)]) if rng.random() < 0.9 else (rng.randrange(6), rng.randrange(6))
        names = [self.get(first), self.get(second)]
        if rng.random() < 0.1:
            names[rng.randrange(2)] = self.string(rng.choice(self.harmful))
        call = self.call() if rng.random() < 0.7 else HARMLESS[self.harmless]
        return names[0] + names[1] + b"\x93" + call + rng.choice([b"0", b""])

    def name(self, pair: tuple[str, str]) -> bytes:
        module, name = pair
        if self.rng.random() < 0.5:
            return self.string(module) + self.string(name) + b"\x93"
        return b"c" + module.encode() + b"\n" + name.encode() + b"\n"

    def harmless_call(self) -> bytes:
        rng = self.rng
        if rng.random() >= max(0.05, self.odd):
            return self.name(self.harmless) + HARMLESS[self.harmless] + rng.choice([b"0", b"", b"\x85", b"Nb"])
        call = rng.choice([b")\x81", b")R", b"]\x85R", b")\x81}b", b"(" + b"t\x81", b")\x81Nb", b")\x81}" + self.string("append") + b"Nsb"])
        return self.name(self.harmless) + call + rng.choice([b"0", b"", b"N" + rng.choice([b"a", b"b"]), b"(" + self.noise() + b"e", b"(N1"])

    def plain_call(self) -> bytes:
        """What no scan may pass, wherever it stands."""
        if self.rng.random() < 0.2:
            module, name = self.harmful
            return b"(" + self.string("echo inert") + b"i" + module.encode() + b"\n" + name.encode() + b"\n"
        return self.name(self.harmful) + self.call()

    def noise(self) -> bytes:
        rng = self.rng
        value = rng.choice([
            b"N", b"K\x05", b"J\xff\xff\xff\xff", b"I" + self.number(7), b"L" + self.number(7), b"F1.5\n", b"G" + b"\0" * 8, b"\x88", b"]", b"}", b")",
            b"C\x02ab", b"B\x01\0\0\0a", b"\x8a\x01\x05", b"\x8f", self.string("x"), b"(K\x01K\x02t", b"}" + self.string("k") + b"Ns", b"](NNe", b"\x96\x01\0\0\0\0\0\0\0a",
        ])  # fmt: skip
        return value + rng.choice([b"0", b"0", b"", b"20" + b"0", b"\x850", b"\x940"])

    def quirk(self) -> bytes:
        """Something that readers may take differently, or refuse."""
        rng, module, name = self.rng, self.harmful[0].encode(), self.harmful[1].encode()
        line = rng.choice([b"", b"\0", b"x", b"'", b"''", b'"\'', b"'a", b"\\", b"\\u12", b"\xff", b"00", b"01", b"1" * 30, b"nan", b"0x", b"1e5", b"-", b"'\\'"])
        return rng.choice([
            rng.choice([b"I", b"L", b"F", b"S", b"V", b"g", b"p", b"P"]) + line + rng.choice([b"\n", b"\n0", b"\r\n", b""]),
            b"(0", b"(1", b"0", b"1", b"2", b"((10", b"t", b"(t", b"(l", b"(d", b"(NNNd", b"(NNNu", b"](e", b"Na", b"NNs", b"}(NNu", b"\x8f(N\x90", b"(N\x910",
            b"\x80\x05", b"\x80\x06", b"\x82\x01", b"\x83\x01\0", b"\x84\0\0\0\0", b"\x84\xff\xff\xff\xff", b"\x97", b"\x98", b"Q", b"b", b"Nb", b"}b", b"N}b",
            b"T\xff\xff\xff\xff", b"\x8b\xff\xff\xff\xff", b"\x8b\x00\0\0\0", b"\x8a\0", b"J\1\2\3\4", b"\x8d" + struct.pack("<Q", 1 << 63), b"\x8e" + struct.pack("<Q", 1 << 40),
            b"i" + module + b"\n" + name + b"\n" if self.plain else b"(icollections\nOrderedDict\n", b"(ccollections\nOrderedDict\no", b"(o",
            b"\x95" + struct.pack("<Q", rng.randrange(40)), b"r" + struct.pack("<I", rng.choice([5, 300, 1 << 21])), b"N" + self.put()[0] + b"0",
            b".", b"N.", b"\x94", b"h\0", self.get(rng.randrange(300)), b"(" + self.get(0) + self.get(1) + b"\x93" + b"o", b"X\xff\xff\xff\xff", b"#", b"\n",
        ])  # fmt: skip

    def torn(self) -> bytes:
        """A frame that ends within an argument, so that what comes behind it has two readings."""
        rng, module, name = self.rng, self.harmful[0].encode(), self.harmful[1].encode()
        act = b"c" + module + b"\n" + name + b"\n" + self.call()
        hidden = rng.choice([
            (b"S'a", b"'\n" + self.string("x")), (b"I1", b"\nN"), (b"V", b"x\n" + act), (b"V" + module[:1], module[1:] + b"\n" + act), (b"X\x04", b"\0\0\0" + b"aaaa"),
            (b"J\0", b"\0\0\0\xff"), (b"ccollec", b"tions\nOrderedDict\n"), (b"U", b"\x03abc"), (b"p", b"0\n"), (b"Np", b"0\n" + act), (b"B\x02\0\0\0a", b"b"),
        ])  # fmt: skip
        return b"\x95" + struct.pack("<Q", len(hidden[0])) + hidden[0] + hidden[1]
