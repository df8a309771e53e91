//! Which boot of the machine this is.

use std::io;

use tokenmill_core::segment::BootId;

use super::SegmentError;

/// The same in every process until the machine is started anew.
///
/// # Errors
/// [`SegmentError::Io`] if the system does not tell.
pub(super) fn boot_id() -> Result<BootId, SegmentError> {
    let text = read().map_err(SegmentError::reading)?;
    parse(&text).ok_or_else(|| {
        let message = format!("the system's boot id is not a UUID: {text:?}");
        SegmentError::reading(io::Error::new(io::ErrorKind::InvalidData, message))
    })
}

#[cfg(target_os = "linux")]
fn read() -> io::Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

#[cfg(not(target_os = "linux"))]
fn read() -> io::Result<String> {
    let sysctl = std::process::Command::new("/usr/sbin/sysctl")
        .args(["-n", "kern.bootsessionuuid"])
        .output()?;
    Ok(String::from_utf8_lossy(&sysctl.stdout).into_owned())
}

/// The 16 bytes of a UUID such as `2f1c6f0e-…`.
fn parse(text: &str) -> Option<BootId> {
    let digits: String = text
        .trim()
        .chars()
        .filter(|character| *character != '-')
        .collect();
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(&digits, 16)
        .ok()
        .map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_becomes_its_bytes() {
        let bytes = parse("00010203-0405-0607-0809-0a0b0c0d0e0f\n").unwrap();
        assert_eq!(
            bytes,
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        );
        assert_eq!(parse("no uuid"), None);
    }

    #[test]
    fn the_boot_id_stays() {
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }
}
