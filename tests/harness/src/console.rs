//! Cleans a serial stream for a pipe or a file: guests end their lines with CR LF for the sake of terminals, programs that read the
//! output expect LF.

/// Turns CR LF into LF, however the stream is cut into pieces. A CR that stands alone stays.
#[derive(Default, Debug)]
pub struct Newlines {
    carriage_return: bool,
}

impl Newlines {
    /// The next piece of the stream, with its line ends changed. A CR at the very end is held back until what follows is known.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 1);
        for &byte in bytes {
            // A second CR (a guest's own CR LF passed through a console that adds another) belongs to the same line end.
            if self.carriage_return && byte != b'\n' && byte != b'\r' {
                out.push(b'\r');
            }
            self.carriage_return = byte == b'\r';
            if !self.carriage_return {
                out.push(byte);
            }
        }
        out
    }

    /// What was held back, at the end of the stream.
    pub fn finish(&mut self) -> &'static [u8] {
        if std::mem::take(&mut self.carriage_return) { b"\r" } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<u8> {
        let mut newlines = Newlines::default();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| newlines.feed(piece)).collect();
        out.extend(newlines.finish());
        out
    }

    #[test]
    fn line_ends_become_lf() {
        assert_eq!(all(&[b"a\r\nb\nc\r\r\n"]), b"a\nb\nc\n");
    }

    #[test]
    fn a_cut_inside_a_line_end_does_not_matter() {
        assert_eq!(all(&[b"a\r", b"\nb"]), b"a\nb");
    }

    #[test]
    fn a_lone_carriage_return_stays() {
        assert_eq!(all(&[b"10%\r", b"20%\r"]), b"10%\r20%\r");
    }
}
