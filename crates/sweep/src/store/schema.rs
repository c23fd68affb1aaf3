//! Optuna's relational schema, revision `v3.2.0.a` (Optuna 3.2 to 5.0), and our one table beside
//! it.

use super::database::{Database, Dialect, transaction};
use super::error::StoreError;

/// The revision that alembic's row names.
const REVISION: &str = "v3.2.0.a";

/// The version of the schema that `version_info` names, which no longer changes.
const SCHEMA_VERSION: i64 = 12;

/// The version of Optuna whose conventions the rows follow.
const LIBRARY_VERSION: &str = "5.0.0";

/// Our table: which worker has which trial, and until when.
pub(super) const LEASES: &str = "babyllama_leases";

/// A table and its columns, as they are written in SQL: `name type`, with `@` before what depends
/// on the database.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, &'static str)],
    constraints: &'static [&'static str],
}

const STUDY: &str = "FOREIGN KEY(study_id) REFERENCES studies (study_id)";
const TRIAL: &str = "FOREIGN KEY(trial_id) REFERENCES trials (trial_id)";

const TABLES: [Table; 13] = [
    Table {
        name: "studies",
        columns: &[("study_id", "@id"), ("study_name", "VARCHAR(512) NOT NULL")],
        constraints: &[],
    },
    Table {
        name: "version_info",
        columns: &[
            ("version_info_id", "@id"),
            ("schema_version", "INTEGER"),
            ("library_version", "VARCHAR(256)"),
        ],
        constraints: &["CHECK (version_info_id = 1)"],
    },
    Table {
        name: "study_directions",
        columns: &[
            ("study_direction_id", "@id"),
            ("direction", "@studydirection NOT NULL"),
            ("study_id", "INTEGER NOT NULL"),
            ("objective", "INTEGER NOT NULL"),
        ],
        constraints: &["UNIQUE (study_id, objective)", STUDY],
    },
    Table {
        name: "study_user_attributes",
        columns: &[
            ("study_user_attribute_id", "@id"),
            ("study_id", "INTEGER"),
            ("key", "VARCHAR(512)"),
            ("value_json", "TEXT"),
        ],
        constraints: &["UNIQUE (study_id, \"key\")", STUDY],
    },
    Table {
        name: "study_system_attributes",
        columns: &[
            ("study_system_attribute_id", "@id"),
            ("study_id", "INTEGER"),
            ("key", "VARCHAR(512)"),
            ("value_json", "TEXT"),
        ],
        constraints: &["UNIQUE (study_id, \"key\")", STUDY],
    },
    Table {
        name: "trials",
        columns: &[
            ("trial_id", "@id"),
            ("number", "INTEGER"),
            ("study_id", "INTEGER"),
            ("state", "@trialstate NOT NULL"),
            ("datetime_start", "@time"),
            ("datetime_complete", "@time"),
        ],
        constraints: &[STUDY],
    },
    Table {
        name: "trial_user_attributes",
        columns: &[
            ("trial_user_attribute_id", "@id"),
            ("trial_id", "INTEGER"),
            ("key", "VARCHAR(512)"),
            ("value_json", "TEXT"),
        ],
        constraints: &["UNIQUE (trial_id, \"key\")", TRIAL],
    },
    Table {
        name: "trial_system_attributes",
        columns: &[
            ("trial_system_attribute_id", "@id"),
            ("trial_id", "INTEGER"),
            ("key", "VARCHAR(512)"),
            ("value_json", "TEXT"),
        ],
        constraints: &["UNIQUE (trial_id, \"key\")", TRIAL],
    },
    Table {
        name: "trial_params",
        columns: &[
            ("param_id", "@id"),
            ("trial_id", "INTEGER"),
            ("param_name", "VARCHAR(512)"),
            ("param_value", "@float"),
            ("distribution_json", "TEXT"),
        ],
        constraints: &["UNIQUE (trial_id, param_name)", TRIAL],
    },
    Table {
        name: "trial_values",
        columns: &[
            ("trial_value_id", "@id"),
            ("trial_id", "INTEGER NOT NULL"),
            ("objective", "INTEGER NOT NULL"),
            ("value", "@float"),
            ("value_type", "@trialvaluetype NOT NULL"),
        ],
        constraints: &["UNIQUE (trial_id, objective)", TRIAL],
    },
    Table {
        name: "trial_intermediate_values",
        columns: &[
            ("trial_intermediate_value_id", "@id"),
            ("trial_id", "INTEGER NOT NULL"),
            ("step", "INTEGER NOT NULL"),
            ("intermediate_value", "@float"),
            ("intermediate_value_type", "@trialintermediatevaluetype NOT NULL"),
        ],
        constraints: &["UNIQUE (trial_id, step)", TRIAL],
    },
    Table {
        name: "trial_heartbeats",
        columns: &[
            ("trial_heartbeat_id", "@id"),
            ("trial_id", "INTEGER NOT NULL"),
            ("heartbeat", "@time NOT NULL"),
        ],
        constraints: &["UNIQUE (trial_id)", TRIAL],
    },
    Table {
        name: "alembic_version",
        columns: &[("version_num", "VARCHAR(32) NOT NULL")],
        constraints: &["CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"],
    },
];

/// The types that PostgreSQL has for states, by name and values.
const ENUMS: [(&str, &[&str]); 4] = [
    ("studydirection", &["NOT_SET", "MINIMIZE", "MAXIMIZE"]),
    ("trialstate", &["RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"]),
    ("trialvaluetype", &["FINITE", "INF_POS", "INF_NEG"]),
    ("trialintermediatevaluetype", &["FINITE", "INF_POS", "INF_NEG", "NAN"]),
];

/// Makes the tables where the database has none.
///
/// # Errors
/// When they cannot be made.
pub(super) fn create(database: &mut dyn Database) -> Result<(), StoreError> {
    let dialect = database.dialect();
    transaction(database, |database| -> Result<(), StoreError> {
        let tables = database.columns()?;
        let has = |name: &str| tables.iter().any(|(table, _)| table == name);
        if !TABLES.iter().any(|table| has(table.name)) {
            database.batch(&statements(dialect))?;
        }
        // Beside tables of another revision nothing is added.
        if !has(LEASES) && revision_problem(database)?.is_none() {
            database.batch(&leases(dialect))?;
        }
        Ok(())
    })
}

/// Why the tables are not those of the revision that is known, if they are not.
///
/// # Errors
/// When they cannot be read.
pub(super) fn revision_problem(database: &mut dyn Database) -> Result<Option<String>, StoreError> {
    let tables = database.columns()?;
    for table in &TABLES {
        let Some((_, found)) = tables.iter().find(|(name, _)| name == table.name) else {
            return Ok(Some(format!("it has no table `{}`", table.name)));
        };
        let expected = table.columns.iter().map(|(name, _)| *name);
        if let Some(missing) = expected.clone().find(|name| !found.iter().any(|of| of == name)) {
            return Ok(Some(format!("table `{}` has no column `{missing}`", table.name)));
        }
        if let Some(other) = found.iter().find(|name| !expected.clone().any(|of| of == **name)) {
            return Ok(Some(format!("table `{}` has a column `{other}`", table.name)));
        }
    }
    let mut revisions = database.query("SELECT version_num FROM alembic_version", &[])?;
    let revision = match &mut revisions[..] {
        [row] => row.text()?,
        other => return Ok(Some(format!("it names {} revisions instead of one", other.len()))),
    };
    if revision != REVISION {
        return Ok(Some(format!(
            "it has revision {revision} of Optuna's tables, and {REVISION} is known; `optuna \
             storage upgrade` changes older ones"
        )));
    }
    let mut versions = database.query("SELECT schema_version FROM version_info", &[])?;
    let version = versions.first_mut().map(|row| row.integer()).transpose()?;
    Ok(match version {
        Some(SCHEMA_VERSION) => None,
        Some(other) => Some(format!("it has schema version {other}, not {SCHEMA_VERSION}")),
        None => Some("it names no schema version".to_owned()),
    })
}

/// Whether our own table is there.
///
/// # Errors
/// When the tables cannot be read.
pub(super) fn has_leases(database: &mut dyn Database) -> Result<bool, StoreError> {
    Ok(database.columns()?.iter().any(|(name, _)| name == LEASES))
}

fn statements(dialect: Dialect) -> String {
    let mut sql = String::new();
    if dialect == Dialect::Postgres {
        for (name, values) in ENUMS {
            let values: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
            sql.push_str(&format!("CREATE TYPE {name} AS ENUM ({});\n", values.join(", ")));
        }
    }
    for table in &TABLES {
        let columns = table.columns.iter().map(|(name, kind)| {
            let name = if *name == "key" { "\"key\"" } else { name };
            format!("{name} {}", column_type(dialect, kind))
        });
        let parts: Vec<String> =
            columns.chain(table.constraints.iter().map(|&rule| rule.to_owned())).collect();
        sql.push_str(&format!("CREATE TABLE {} ({});\n", table.name, parts.join(", ")));
    }
    sql.push_str(&format!(
        "CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);\n\
         CREATE INDEX ix_trials_study_id ON trials (study_id);\n\
         INSERT INTO version_info VALUES (1, {SCHEMA_VERSION}, '{LIBRARY_VERSION}');\n\
         INSERT INTO alembic_version VALUES ('{REVISION}');\n"
    ));
    sql
}

fn leases(dialect: Dialect) -> String {
    let float = column_type(dialect, "@float");
    format!(
        "CREATE TABLE {LEASES} (trial_id INTEGER NOT NULL PRIMARY KEY REFERENCES trials \
         (trial_id) ON DELETE CASCADE, study_id INTEGER NOT NULL, number INTEGER NOT NULL, token \
         VARCHAR(64) NOT NULL, worker VARCHAR(256) NOT NULL, expires {float} NOT NULL);"
    )
}

fn column_type(dialect: Dialect, kind: &str) -> String {
    let (kind, rest) = kind.split_once(' ').unwrap_or((kind, ""));
    let own = match (dialect, kind) {
        (Dialect::Sqlite, "@id") => "INTEGER NOT NULL PRIMARY KEY",
        (Dialect::Postgres, "@id") => "SERIAL NOT NULL PRIMARY KEY",
        (Dialect::Sqlite, "@time") => "DATETIME",
        (Dialect::Postgres, "@time") => "TIMESTAMP WITHOUT TIME ZONE",
        (Dialect::Sqlite, "@float") => "FLOAT",
        (Dialect::Postgres, "@float") => "DOUBLE PRECISION",
        (Dialect::Sqlite, "@studydirection") => "VARCHAR(8)",
        (Dialect::Sqlite, "@trialstate") => "VARCHAR(8)",
        (Dialect::Sqlite, "@trialvaluetype" | "@trialintermediatevaluetype") => "VARCHAR(7)",
        (_, kind) => kind.trim_start_matches('@'),
    };
    match rest {
        "" => own.to_owned(),
        rest => format!("{own} {rest}"),
    }
}

/// Copies all rows of Optuna's tables into a store that has none. Leases are left behind.
///
/// # Errors
/// When a row cannot be read or written.
pub(super) fn copy(from: &mut dyn Database, to: &mut dyn Database) -> Result<(), StoreError> {
    let tables = TABLES.iter().filter(|table| !OF_VERSIONS.contains(&table.name));
    transaction(to, |to| {
        for table in tables {
            let columns: Vec<String> =
                table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let read: Vec<String> = table
                .columns
                .iter()
                .zip(&columns)
                .map(|((_, kind), name)| match kind.starts_with("@time") {
                    true => format!("CAST({name} AS VARCHAR(32))"),
                    false => name.clone(),
                })
                .collect();
            let sql =
                format!("SELECT {} FROM {} ORDER BY {}", read.join(", "), table.name, columns[0]);
            let places: Vec<String> =
                (1..=columns.len()).map(|place| format!("${place}")).collect();
            let insert = format!(
                "INSERT INTO {} ({}) VALUES ({})",
                table.name,
                columns.join(", "),
                places.join(", ")
            );
            for row in from.query(&sql, &[])? {
                to.query(&insert, &row.into_values())?;
            }
        }
        Ok(())
    })
}

/// Tables that every store has rows in from its beginning.
const OF_VERSIONS: [&str; 2] = ["version_info", "alembic_version"];
