//! `dom xenstore ls`.

use alloc::{format, string::String};

use crate::xenstore::{
    Server,
    path::{depth_below, is_valid},
};

/// Everything below a path, indented by level, values quoted; `None` if there is no such node.
pub fn xenstore_ls(server: &Server, path: &str) -> Option<String> {
    if !is_valid(path) {
        return None;
    }
    server.read(path)?;
    let mut text = String::new();
    show_children(server, path, path, &mut text);
    Some(text)
}

/// Recursion ends at the depth that paths have at most.
fn show_children(server: &Server, base: &str, path: &str, text: &mut String) {
    for name in server.list(path).unwrap_or_default() {
        let child = if path == "/" { format!("/{name}") } else { format!("{path}/{name}") };
        let indent = depth_below(&child, base).unwrap_or(1) - 1;
        let value = String::from_utf8_lossy(server.read(&child).unwrap_or_default()).escape_debug().collect::<String>();
        text.push_str(&format!("{:indent$}{name} = \"{value}\"\n", ""));
        show_children(server, base, &child, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_indented_and_values_harmless() {
        let mut server = Server::default();
        server.write("/a/b", b"1\x1b[2J\"").unwrap();
        server.write("/a-b", b"").unwrap();
        server.write("/a/b/c", b"x").unwrap();
        let all = "a = \"\"\n b = \"1\\u{1b}[2J\\\"\"\n  c = \"x\"\na-b = \"\"\n";
        assert_eq!(xenstore_ls(&server, "/").unwrap(), all);
        assert_eq!(xenstore_ls(&server, "/a/b").unwrap(), "c = \"x\"\n");
        assert_eq!(xenstore_ls(&server, "/nope"), None);
        assert_eq!(xenstore_ls(&server, "a/"), None);
    }
}
