//! Who this broker is: `meta.properties` in every log directory, as Kafka keeps it.
//!
//! The directories of one broker agree on the cluster and on the broker's id, and a broker refuses directories that say
//! otherwise: somebody else's data would be served, or damaged. The first start makes the cluster's id up. Read before the
//! engine touches anything; written after it holds the directories' locks.

use std::path::{Path, PathBuf};

use thalweg_engine::format::meta_properties::{self, FILE_NAME, MetaProperties, MetaVersion};
use thalweg_engine::format::topic_id;
use uuid::Uuid;

use crate::config::BrokerConfig;

/// What the directories and the configuration say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub broker_id: i32,
    pub cluster_id: String,
    /// Directories that do not have the file yet, and what it will hold.
    pub missing: Vec<(PathBuf, MetaProperties)>,
    /// The directories that it was read from.
    pub dirs: Vec<PathBuf>,
}

impl Identity {
    /// Directories that were never ours, beside others that were: new ones, or disks that are not mounted.
    pub fn strangers(&self) -> Vec<PathBuf> {
        if self.missing.len() == self.dirs.len() {
            return Vec::new();
        }
        self.missing.iter().filter_map(|(path, _)| path.parent().map(Path::to_path_buf)).collect()
    }
}

/// Why the directories are not this broker's.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{}: {source}; check its permissions, or take the directory out of log.dirs", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {what}; mend it, or remove the directory if its data is not needed", path.display())]
    Malformed { path: PathBuf, what: String },
    #[error(
        "{} belongs to broker.id={stored}, and the configuration says broker.id={configured}. If the data was moved, set \
         broker.id={stored}; for a new broker, use empty log.dirs", path.display()
    )]
    Broker { path: PathBuf, stored: i32, configured: i32 },
    #[error(
        "the log.dirs are of different brokers or clusters: {} is of {one}, {} of {other}. Take the directories of the \
         other broker out of log.dirs", path.display(), other_path.display()
    )]
    Mixed { path: PathBuf, one: String, other_path: PathBuf, other: String },
}

/// Reads the files of `dirs`, those of the `log.dirs` that can be used. A directory that does not exist has none.
///
/// # Errors
/// [`IdentityError`]; nothing has been changed.
pub fn read(config: &BrokerConfig, dirs: &[PathBuf]) -> Result<Identity, IdentityError> {
    let mut known: Option<(PathBuf, MetaProperties)> = None;
    let mut missing = Vec::new();
    for dir in dirs {
        let path = dir.join(FILE_NAME);
        match read_file(&path)? {
            None => missing.push(path),
            Some(properties) => {
                check_broker(&path, &properties, config.broker_id)?;
                if let Some((first, agreed)) = &known {
                    check_same(first, agreed, &path, &properties)?;
                }
                known.get_or_insert((path, properties));
            }
        }
    }
    let stored = known.map(|(_, properties)| properties);
    let broker_id = stored.as_ref().and_then(|properties| properties.node_id).or(config.broker_id);
    // Above those that can be configured, so that the two never meet.
    let broker_id = broker_id.unwrap_or(config.reserved_broker_id_max.saturating_add(1));
    let cluster_id = stored.as_ref().and_then(|properties| properties.cluster_id.clone());
    let cluster_id = cluster_id.unwrap_or_else(|| topic_id::format(Uuid::new_v4()));
    let version = stored.map_or(MetaVersion::ZooKeeper, |properties| properties.version);
    let file = MetaProperties {
        version,
        cluster_id: Some(cluster_id.clone()),
        node_id: Some(broker_id),
        directory_id: None,
    };
    let missing = missing.into_iter().map(|path| (path, file.clone())).collect();
    Ok(Identity { broker_id, cluster_id, missing, dirs: dirs.to_vec() })
}

/// Whether the directory's file, if there is one, can be read.
///
/// # Errors
/// [`IdentityError::Read`].
pub fn check_readable(dir: &Path) -> Result<(), IdentityError> {
    let path = dir.join(FILE_NAME);
    match std::fs::read(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(IdentityError::Read { path, source })
        }
        _ => Ok(()),
    }
}

fn read_file(path: &Path) -> Result<Option<MetaProperties>, IdentityError> {
    match std::fs::read(path) {
        Ok(bytes) => match meta_properties::decode(&bytes) {
            Ok(properties) => Ok(Some(properties)),
            Err(malformed) => {
                Err(IdentityError::Malformed { path: path.to_owned(), what: malformed.to_string() })
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::Read { path: path.to_owned(), source }),
    }
}

fn check_broker(
    path: &Path,
    properties: &MetaProperties,
    configured: Option<i32>,
) -> Result<(), IdentityError> {
    match (properties.node_id, configured) {
        (Some(stored), Some(configured)) if stored != configured => {
            Err(IdentityError::Broker { path: path.to_owned(), stored, configured })
        }
        _ => Ok(()),
    }
}

fn check_same(
    path: &Path,
    one: &MetaProperties,
    other_path: &Path,
    other: &MetaProperties,
) -> Result<(), IdentityError> {
    if (&one.cluster_id, one.node_id) == (&other.cluster_id, other.node_id) {
        return Ok(());
    }
    let described = |properties: &MetaProperties| {
        let cluster = properties.cluster_id.as_deref().unwrap_or("none");
        let node = properties.node_id.map_or("none".to_owned(), |id| id.to_string());
        format!("cluster.id={cluster}, broker.id={node}")
    };
    Err(IdentityError::Mixed {
        path: path.to_owned(),
        one: described(one),
        other_path: other_path.to_owned(),
        other: described(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;

    struct Dirs(tempfile::TempDir);

    impl Dirs {
        fn new(files: &[(&str, &str)]) -> Dirs {
            let root = tempfile::tempdir().unwrap();
            for (dir, content) in files {
                std::fs::create_dir_all(root.path().join(dir)).unwrap();
                std::fs::write(root.path().join(dir).join(FILE_NAME), content).unwrap();
            }
            Dirs(root)
        }

        fn read(&self, settings: &[(&str, &str)]) -> Result<Identity, IdentityError> {
            let dirs = ["a", "b"].map(|dir| self.0.path().join(dir).display().to_string()).join(",");
            let all = settings.iter().copied().chain([("log.dirs", dirs.as_str())]);
            let config = resolve(all.collect(), 1).unwrap().0;
            read(&config, &config.log_dirs)
        }
    }

    const OURS: &str = "#\nbroker.id=3\nversion=0\ncluster.id=a4Ge7KMDR5CQgJP3Lxs6Rw\n";

    #[test]
    fn the_first_start_makes_an_identity_up() {
        let identity = Dirs::new(&[]).read(&[]).unwrap();
        assert_eq!((identity.broker_id, identity.cluster_id.len()), (1001, 22));
        assert_eq!(identity.missing.len(), 2);
        assert_eq!(identity.missing[0].1.cluster_id.as_ref(), Some(&identity.cluster_id));
        assert_eq!(Dirs::new(&[]).read(&[("broker.id", "4")]).unwrap().broker_id, 4);
    }

    #[test]
    fn a_later_start_keeps_it_and_completes_a_new_directory() {
        let identity = Dirs::new(&[("b", OURS)]).read(&[("broker.id", "3")]).unwrap();
        assert_eq!((identity.broker_id, identity.cluster_id.as_str()), (3, "a4Ge7KMDR5CQgJP3Lxs6Rw"));
        assert_eq!(identity.missing.len(), 1);
        assert!(identity.missing[0].0.ends_with("a/meta.properties"));
        assert_eq!(Dirs::new(&[("a", OURS)]).read(&[]).unwrap().broker_id, 3);
        assert_eq!(identity.strangers().len(), 1);
        assert!(Dirs::new(&[]).read(&[]).unwrap().strangers().is_empty(), "a first start has no strangers")
    }

    #[test]
    fn another_brokers_directory_is_refused_with_the_fix() {
        let message = Dirs::new(&[("a", OURS)]).read(&[("broker.id", "5")]).unwrap_err().to_string();
        for part in ["a/meta.properties", "broker.id=3", "broker.id=5", "empty log.dirs"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn directories_of_two_clusters_are_refused() {
        let theirs = OURS.replace("a4Ge", "b4Ge");
        let message = Dirs::new(&[("a", OURS), ("b", &theirs)]).read(&[]).unwrap_err().to_string();
        assert!(message.contains("a4Ge") && message.contains("b4Ge"), "{message}");
        let malformed = Dirs::new(&[("a", "version=9\n")]).read(&[]).unwrap_err().to_string();
        assert!(malformed.contains("a/meta.properties") && malformed.contains("line 1"), "{malformed}");
    }
}
