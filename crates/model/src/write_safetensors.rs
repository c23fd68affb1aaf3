//! Writing safetensors files, whole or not at all.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use base::AtomicFile;
use safetensors::tensor::{Metadata, TensorInfo, View};

/// Writes a safetensors file with the bytes of [`safetensors::serialize`], one tensor after the
/// other: values are fetched when they are written. It appears at `path` whole or not at all, as
/// an [`AtomicFile`].
///
/// # Errors
/// When the file cannot be written, or a tensor's shape and length differ.
pub fn write_safetensors<S: Into<String>, V: View>(
    path: &Path,
    tensors: impl IntoIterator<Item = (S, V)>,
    metadata: Option<HashMap<String, String>>,
) -> io::Result<()> {
    let mut tensors: Vec<(String, V)> =
        tensors.into_iter().map(|(name, tensor)| (name.into(), tensor)).collect();
    // The format requires the types of largest alignment first.
    tensors.sort_by(|(a, left), (b, right)| right.dtype().cmp(&left.dtype()).then(a.cmp(b)));
    let header = header(&tensors, metadata)?;
    let mut file = AtomicFile::create(path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (_, tensor) in &tensors {
        file.write_all(&tensor.data())?;
    }
    file.commit()
}

/// Name, type, shape and place of each tensor as JSON, filled up with spaces to a multiple of eight
/// bytes.
fn header<V: View>(
    tensors: &[(String, V)],
    metadata: Option<HashMap<String, String>>,
) -> io::Result<Vec<u8>> {
    let mut end = 0;
    let place = |(name, tensor): &(String, V)| {
        let start = end;
        end += tensor.data_len();
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        (name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    };
    let places = tensors.iter().map(place).collect();
    let described = Metadata::new(metadata, places).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&described)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_library() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes: Vec<u8> = (0..96).collect();
        let view = |dtype, shape: &[usize], length| {
            TensorView::new(dtype, shape.to_vec(), &bytes[..length]).unwrap()
        };
        let tensors = [
            ("z".to_owned(), view(Dtype::F32, &[2, 3], 24)),
            ("ä \"quoted\"".to_owned(), view(Dtype::BF16, &[4], 8)),
            ("ids".to_owned(), view(Dtype::U32, &[0], 0)),
            ("a".to_owned(), view(Dtype::F32, &[24], 96)),
            ("wide".to_owned(), view(Dtype::I64, &[1, 1], 8)),
        ];
        for metadata in [None, Some(HashMap::from([("format".to_owned(), "pt".to_owned())]))] {
            write_safetensors(&path, tensors.clone(), metadata.clone()).unwrap();
            let expected = safetensors::serialize(tensors.clone(), metadata).unwrap();
            assert!(std::fs::read(&path).unwrap() == expected);
        }
        let none: [(String, TensorView<'_>); 0] = [];
        write_safetensors(&path, none.clone(), None).unwrap();
        assert!(std::fs::read(&path).unwrap() == safetensors::serialize(none, None).unwrap());
        let names =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["model.safetensors"]);
    }

    /// Files have the mode of other programs' files; the library's own writer lets only the owner
    /// read them.
    #[cfg(unix)]
    #[test]
    fn files_have_the_mode_of_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("weights"), folder.path().join("other"));
        let tensor = TensorView::new(Dtype::U8, vec![1], &[7]).unwrap();
        write_safetensors(&path, [("a".to_owned(), tensor)], None).unwrap();
        std::fs::write(&other, b"text").unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn a_tensor_of_another_length_leaves_what_was_there() {
        struct Short;
        impl View for Short {
            fn dtype(&self) -> Dtype {
                Dtype::F32
            }
            fn shape(&self) -> &[usize] {
                &[3]
            }
            fn data(&self) -> std::borrow::Cow<'_, [u8]> {
                vec![0; 8].into()
            }
            fn data_len(&self) -> usize {
                8
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, b"before").unwrap();
        assert!(write_safetensors(&path, [("a".to_owned(), Short)], None).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
    }
}
