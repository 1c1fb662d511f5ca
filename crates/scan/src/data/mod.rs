//! What lies beside models and holds data only: tables in columns, records, pictures. Known, so that it is not taken for
//! something unknown; looked at for the little that in it can act.

mod columns;
mod marks;
mod msgpack;
mod records;

use crate::detect::Format;

/// The formats that are examined here.
pub(crate) const FORMATS: &[Format] = &[
    Format { name: "parquet", detect: columns::detect_parquet, examine: columns::examine_parquet },
    Format { name: "arrow", detect: columns::detect_arrow, examine: columns::examine_arrow },
    Format { name: "tfrecord", detect: records::detect, examine: records::examine },
    Format { name: "msgpack", detect: msgpack::detect, examine: msgpack::examine },
    Format {
        name: "sqlite",
        detect: |probe| Ok(marks::is_sqlite(probe).into()),
        examine: marks::examine_rows,
    },
    Format { name: "media", detect: marks::detect_media, examine: |_, _| Ok(()) },
    Format { name: "model-data", detect: marks::detect_numbers, examine: |_, _| Ok(()) },
];

crate::rules::declare! {
    /// Columns and records hold texts that nobody here reads.
    ROWS = "data-set-rows",
    /// An Arrow schema with a Python extension type.
    PICKLE = "data-set-pickle",
    /// MessagePack with an array of Python objects.
    ARRAY_PICKLE = "msgpack-pickle",
}
