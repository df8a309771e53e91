use super::*;
use proptest::prelude::*;

type Owned = (Vec<u8>, Vec<u8>);

/// All events of the chunks, and the error that ended them.
fn read(framer: &mut Framer, chunks: &[&[u8]]) -> (Vec<Owned>, Option<FrameError>) {
    let mut events = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        loop {
            match framer.next_event(&mut rest) {
                Ok(Some(event)) => events.push((event.name.to_vec(), event.data.to_vec())),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(framer.buffered_bytes() <= framer.event_bytes_max);
    }
    (events, None)
}

fn data_of(text: &[u8]) -> Vec<String> {
    let (events, error) = read(&mut Framer::new(1000), &[text]);
    assert_eq!(error, None);
    let text_of = |(_, data): Owned| String::from_utf8(data).unwrap();
    events.into_iter().map(text_of).collect()
}

/// The standard, read aloud: works on the whole text and looks at it as often as it likes.
fn by_the_book(text: &[u8]) -> Vec<Owned> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut lines = Vec::new();
    let (mut line, mut at) = (Vec::new(), 0);
    while at < text.len() {
        match text[at] {
            b'\n' | b'\r' => {
                if text[at] == b'\r' && text.get(at + 1) == Some(&b'\n') {
                    at += 1;
                }
                lines.push(std::mem::take(&mut line));
            }
            byte => line.push(byte),
        }
        at += 1;
    }
    let (mut events, mut name, mut data) = (Vec::new(), Vec::new(), None::<Vec<u8>>);
    for line in lines {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            events.extend(data.take().map(|data| (name, data)));
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field == b"event" {
            name = value.to_vec();
        } else if field == b"data" {
            data = Some(data.map_or_else(|| value.to_vec(), |old| [&old[..], value].join(&b'\n')));
        }
    }
    events
}

#[test]
fn an_event_of_one_line_is_handed_out_from_the_chunk_itself() {
    let chunk = b"data: {\"a\":1}\n\n".as_slice();
    let (mut framer, mut rest) = (Framer::new(100), chunk);
    let event = framer.next_event(&mut rest).unwrap().unwrap();
    assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
    assert_eq!(event.data, b"{\"a\":1}");
}

#[test]
fn lines_may_end_in_three_ways() {
    assert_eq!(
        data_of(b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\r\n\n"),
        ["a", "b", "c", "d"]
    );
}

#[test]
fn several_data_lines_are_one_event() {
    assert_eq!(data_of(b"data: a\ndata\ndata:b\n\n"), ["a\n\nb"]);
}

#[test]
fn comments_ids_and_unknown_fields_are_read_over() {
    assert_eq!(
        data_of(b": hello\nid: 1\nretry: 5\ndatax: n\ndata: a\n:\n\n"),
        ["a"]
    );
}

#[test]
fn an_event_without_its_blank_line_does_not_come_out() {
    assert_eq!(data_of(b"data: a\n\ndata: b\n"), ["a"]);
}

#[test]
fn an_event_over_the_bound_is_refused_and_stays_refused() {
    let mut framer = Framer::new(10);
    let (events, error) = read(&mut framer, &[b"data: ok\n\n", b"data: too long\n\n"]);
    assert_eq!(
        (events.len(), error),
        (
            1,
            Some(FrameError::EventTooLarge {
                event_bytes_max: 10
            })
        )
    );
    let (events, error) = read(&mut framer, &[b"\n\ndata: ok\n\n"]);
    assert!(events.is_empty() && error.is_some());
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let mut framer = Framer::new(1000);
    let chunk = [b'x'; 100];
    let fed = (0..100)
        .take_while(|_| framer.next_event(&mut &chunk[..]).is_ok())
        .count();
    assert_eq!(fed, 10);
}

#[test]
fn comments_without_end_cost_no_memory() {
    let mut framer = Framer::new(50);
    for _ in 0..1000 {
        assert_eq!(
            framer.next_event(&mut b": still there\n".as_slice()),
            Ok(None)
        );
    }
    assert_eq!(framer.buffered_bytes(), 0);
}

/// Pieces that matter to the format, in any order.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        2 => Just(b"\r".to_vec()),
        4 => Just(b"data: ".to_vec()),
        2 => Just(b"data:".to_vec()),
        1 => Just(b"data".to_vec()),
        1 => Just(b"event: ".to_vec()),
        1 => Just(b"event".to_vec()),
        1 => Just(b": ".to_vec()),
        1 => Just(b"id: 7".to_vec()),
        1 => Just(BYTE_ORDER_MARK.to_vec()),
        3 => "[a-z{}\":]{0,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The text cut at some places.
fn cut<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.sort_unstable();
    let mut from = 0;
    let mut chunks = Vec::new();
    for place in places.into_iter().chain([text.len()]) {
        chunks.push(&text[from..place]);
        from = place;
    }
    chunks
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    proptest::collection::vec(any::<prop::sample::Index>(), 0..12)
}

proptest! {
    #[test]
    fn events_are_those_of_the_standard_wherever_the_chunks_end(text in texts(), cuts in cuts()) {
        let (events, error) = read(&mut Framer::new(10_000), &cut(&text, &cuts));
        prop_assert_eq!(error, None);
        prop_assert_eq!(events, by_the_book(&text));
    }

    #[test]
    fn the_bound_is_met_at_the_same_event_wherever_the_chunks_end(
        text in texts(), cuts in cuts(), event_bytes_max in 1_usize..40,
    ) {
        let whole = read(&mut Framer::new(event_bytes_max), &[&text]);
        let in_pieces = read(&mut Framer::new(event_bytes_max), &cut(&text, &cuts));
        prop_assert_eq!(&in_pieces.0, &whole.0);
        prop_assert_eq!(in_pieces.1, whole.1);
    }

    #[test]
    fn no_byte_is_looked_at_twice(text in texts(), cuts in cuts()) {
        let mut framer = Framer::new(10_000);
        let _ = read(&mut framer, &cut(&text, &cuts));
        prop_assert!(framer.scanned <= text.len());
    }
}
