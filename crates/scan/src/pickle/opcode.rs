//! The opcodes of protocols 0 to 5, and what follows each in the stream.

macro_rules! opcodes {
    ($($name:ident = $byte:literal, $tail:ident;)*) => {
        $(pub(crate) const $name: u8 = $byte;)*

        #[allow(clippy::indexing_slicing, reason = "a byte is below 256, and constants cannot call get_mut")]
        const fn tails() -> [Option<Tail>; 256] {
            let mut tails = [None; 256];
            $(tails[$byte as usize] = Some(Tail::$tail);)*
            tails
        }

        /// The names by which CPython's documentation calls them.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, u8)] = &[$((stringify!($name), $byte)),*];
    };
}

/// What follows an opcode in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    Nothing,
    /// So many bytes.
    One,
    Two,
    Four,
    Eight,
    /// A line of text.
    Line,
    /// Two lines of text.
    Lines,
    /// A length of so many bytes, then as many bytes as it says.
    Counted1,
    Counted4,
    /// As `Counted4`; the length is signed.
    Signed4,
    Counted8,
}

opcodes! {
    MARK = b'(', Nothing;
    STOP = b'.', Nothing;
    POP = b'0', Nothing;
    POP_MARK = b'1', Nothing;
    DUP = b'2', Nothing;
    FLOAT = b'F', Line;
    INT = b'I', Line;
    BININT = b'J', Four;
    BININT1 = b'K', One;
    LONG = b'L', Line;
    BININT2 = b'M', Two;
    NONE = b'N', Nothing;
    PERSID = b'P', Line;
    BINPERSID = b'Q', Nothing;
    REDUCE = b'R', Nothing;
    STRING = b'S', Line;
    BINSTRING = b'T', Signed4;
    SHORT_BINSTRING = b'U', Counted1;
    UNICODE = b'V', Line;
    BINUNICODE = b'X', Counted4;
    APPEND = b'a', Nothing;
    BUILD = b'b', Nothing;
    GLOBAL = b'c', Lines;
    DICT = b'd', Nothing;
    EMPTY_DICT = b'}', Nothing;
    APPENDS = b'e', Nothing;
    GET = b'g', Line;
    BINGET = b'h', One;
    INST = b'i', Lines;
    LONG_BINGET = b'j', Four;
    LIST = b'l', Nothing;
    EMPTY_LIST = b']', Nothing;
    OBJ = b'o', Nothing;
    PUT = b'p', Line;
    BINPUT = b'q', One;
    LONG_BINPUT = b'r', Four;
    SETITEM = b's', Nothing;
    TUPLE = b't', Nothing;
    EMPTY_TUPLE = b')', Nothing;
    SETITEMS = b'u', Nothing;
    BINFLOAT = b'G', Eight;
    BINBYTES = b'B', Counted4;
    SHORT_BINBYTES = b'C', Counted1;
    PROTO = 0x80, One;
    NEWOBJ = 0x81, Nothing;
    EXT1 = 0x82, One;
    EXT2 = 0x83, Two;
    EXT4 = 0x84, Four;
    TUPLE1 = 0x85, Nothing;
    TUPLE2 = 0x86, Nothing;
    TUPLE3 = 0x87, Nothing;
    NEWTRUE = 0x88, Nothing;
    NEWFALSE = 0x89, Nothing;
    LONG1 = 0x8a, Counted1;
    LONG4 = 0x8b, Signed4;
    SHORT_BINUNICODE = 0x8c, Counted1;
    BINUNICODE8 = 0x8d, Counted8;
    BINBYTES8 = 0x8e, Counted8;
    EMPTY_SET = 0x8f, Nothing;
    ADDITEMS = 0x90, Nothing;
    FROZENSET = 0x91, Nothing;
    NEWOBJ_EX = 0x92, Nothing;
    STACK_GLOBAL = 0x93, Nothing;
    MEMOIZE = 0x94, Nothing;
    FRAME = 0x95, Eight;
    BYTEARRAY8 = 0x96, Counted8;
    NEXT_BUFFER = 0x97, Nothing;
    READONLY_BUFFER = 0x98, Nothing;
}

static TAILS: [Option<Tail>; 256] = tails();

/// What follows `opcode`; `None` if no protocol has it.
pub(crate) fn tail(opcode: u8) -> Option<Tail> {
    TAILS.get(usize::from(opcode)).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_opcodes_of_protocols_0_to_5_are_known_once() {
        let known = (0..=255).filter(|byte| tail(*byte).is_some()).count();
        assert_eq!((known, ALL.len()), (68, 68));
    }
}
