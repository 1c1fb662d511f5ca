//! Bounds on what a scan takes from untrusted bytes.

/// Bounds. Reaching one is a finding that fails the scan; nothing beyond it is called clean.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How deep containers may lie in one another.
    pub depth: usize,
    /// The most bytes that one file of the folder may unpack to, all levels together.
    pub unpacked: u64,
    /// The most members of all containers of one file.
    pub members: u64,
    /// The most bytes of one header, text or table that are held in memory.
    pub held: usize,
    /// The most findings that are kept for one file; more are counted.
    pub findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 8, unpacked: 64 << 30, members: 1_000_000, held: 32 << 20, findings: 1000 }
    }
}
