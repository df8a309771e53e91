//! URI references resolved against a base (RFC 3986, section 5), as far as `$ref` needs it.

struct Parts<'t> {
    scheme: Option<&'t str>,
    authority: Option<&'t str>,
    path: &'t str,
    query: Option<&'t str>,
}

fn split(uri: &str) -> Parts<'_> {
    let (rest, query) = match uri.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (uri, None),
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, after))
            if scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) =>
        {
            (Some(scheme), after)
        }
        _ => (None, rest),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(after) => {
            let end = after.find('/').unwrap_or(after.len());
            (Some(&after[..end]), &after[end..])
        }
        None => (None, rest),
    };
    Parts {
        scheme,
        authority,
        path,
        query,
    }
}

/// The reference without its fragment, and the fragment.
pub fn without_fragment(reference: &str) -> (&str, &str) {
    reference.split_once('#').unwrap_or((reference, ""))
}

/// The absolute form of a reference (without fragment) seen from a base (without fragment).
pub fn resolved(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    let (base, target) = (split(base), split(reference));
    let scheme = target.scheme.or(base.scheme);
    let own_root = target.scheme.is_some() || target.authority.is_some();
    let authority = if own_root {
        target.authority
    } else {
        base.authority
    };
    let path = if own_root || target.path.starts_with('/') {
        without_dots(target.path)
    } else if target.path.is_empty() {
        base.path.to_owned()
    } else {
        let folder = match base.path.rfind('/') {
            Some(slash) => &base.path[..=slash],
            None if base.authority.is_some() => "/",
            None => "",
        };
        without_dots(&format!("{folder}{}", target.path))
    };
    let mut out = String::new();
    if let Some(scheme) = scheme {
        out = out + scheme + ":";
    }
    if let Some(authority) = authority {
        out = out + "//" + authority;
    }
    out += &path;
    let inherits_query = !own_root && target.path.is_empty() && target.query.is_none();
    if let Some(query) = if inherits_query {
        base.query
    } else {
        target.query
    } {
        out = out + "?" + query;
    }
    out
}

fn without_dots(path: &str) -> String {
    if !path.contains("./") && !path.ends_with("/.") && !path.ends_with("/..") {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        match *part {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    let joined = kept.join("/");
    if absolute {
        format!("/{joined}")
    } else {
        joined
    }
}

/// A fragment with its `%xx` decoded; none where that is not UTF-8.
pub fn decoded(fragment: &str) -> Option<String> {
    let bytes = fragment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| fragment.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = hex {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::{decoded, resolved};

    #[test]
    fn references_resolve_as_in_rfc_3986() {
        let base = "http://a/b/c/d?q";
        for (reference, absolute) in [
            ("g", "http://a/b/c/g"),
            ("./g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d?y"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("urn:x:y", "urn:x:y"),
            ("", base),
        ] {
            assert_eq!(resolved(base, reference), absolute, "{reference}");
        }
    }

    #[test]
    fn percent_escapes_are_decoded() {
        assert_eq!(decoded("/a%25b%22").as_deref(), Some("/a%b\""));
    }
}
