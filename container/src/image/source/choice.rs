//! Which of many images in a source is meant.

use std::path::Path;

use crate::image::digest::Digest;
use crate::image::error::ImageError;

/// The fewest digits of a digest by which an image can be chosen, as engines show them.
const FEWEST_DIGITS: usize = 12;
/// The most choices in a message. They come from the image, and there may be many.
const SHOWN: usize = 16;

/// An image that could be meant.
#[derive(Debug)]
pub struct Candidate<T> {
    /// The names of the image, the fullest first.
    pub names: Vec<String>,
    /// The digests by which the image can be chosen, its own last.
    pub digests: Vec<Digest>,
    /// Images of one group are the same image for different machines.
    pub group: usize,
    /// How well the image fits this machine.
    pub rank: u8,
    /// The image.
    pub image: T,
}

impl<T> Candidate<T> {
    fn is_called(&self, wanted: &str) -> bool {
        let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        let begins = |digest: &Digest| hex.len() >= FEWEST_DIGITS && digest.hex().starts_with(hex);
        self.names.iter().any(|name| name == wanted) || self.digests.iter().any(begins)
    }

    /// What a message calls the image.
    fn shown(&self) -> String {
        let digest = || self.digests.last().map(Digest::to_string);
        let name = self
            .names
            .last()
            .map(|name| name.escape_debug().to_string());
        name.or_else(digest).unwrap_or_default()
    }
}

/// The image that `reference` means, or the only image of `candidates`. Of images of one group, it
/// is the best one; of equally good ones, it is the first.
pub fn choose<T>(
    path: &Path,
    mut candidates: Vec<Candidate<T>>,
    reference: Option<&str>,
) -> Result<Candidate<T>, ImageError> {
    let is_called = |one: &Candidate<T>| reference.is_none_or(|wanted| one.is_called(wanted));
    let chosen = best(&candidates, is_called);
    let digest = |index: usize| candidates[index].digests.last();
    match chosen.as_slice() {
        [] => Err(ImageError::NoSuchReference {
            path: path.to_owned(),
            wanted: reference.unwrap_or_default().to_owned(),
            choices: choices(&candidates, &best(&candidates, |_| true)),
        }),
        [first, rest @ ..] if rest.iter().all(|other| digest(*first) == digest(*other)) => {
            Ok(candidates.swap_remove(*first))
        }
        many => Err(ImageError::Ambiguous {
            path: path.to_owned(),
            count: many.len(),
            choices: choices(&candidates, many),
        }),
    }
}

/// The indices of the best candidate of each group, among those that `is_meant` holds for.
fn best<T>(candidates: &[Candidate<T>], is_meant: impl Fn(&Candidate<T>) -> bool) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::new();
    for (index, one) in candidates
        .iter()
        .enumerate()
        .filter(|(_, one)| is_meant(one))
    {
        let same = |other: &&mut usize| candidates[**other].group == one.group;
        match best.iter_mut().find(same) {
            Some(other) if candidates[*other].rank < one.rank => *other = index,
            Some(_) => {}
            None => best.push(index),
        }
    }
    best
}

fn choices<T>(candidates: &[Candidate<T>], indices: &[usize]) -> String {
    let shown: Vec<String> = indices
        .iter()
        .map(|index| candidates[*index].shown())
        .collect();
    list(&shown)
}

/// Texts for a message.
pub fn list(texts: &[String]) -> String {
    let more = if texts.len() > SHOWN { ", ..." } else { "" };
    let shown = &texts[..texts.len().min(SHOWN)];
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, text: &str, group: usize, rank: u8) -> Candidate<usize> {
        let names = Some(name.to_owned()).filter(|name| !name.is_empty());
        Candidate {
            names: names.into_iter().collect(),
            digests: vec![Digest::of(text.as_bytes())],
            group,
            rank,
            image: 0,
        }
    }

    fn numbered(candidates: Vec<Candidate<usize>>) -> Vec<Candidate<usize>> {
        let numbered = candidates.into_iter().enumerate();
        numbered
            .map(|(image, one)| Candidate { image, ..one })
            .collect()
    }

    fn chosen(candidates: Vec<Candidate<usize>>, reference: Option<&str>) -> Result<usize, String> {
        let chosen = choose(Path::new("p"), numbered(candidates), reference);
        chosen
            .map(|one| one.image)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_the_named_or_the_best_image_is_meant() {
        let one = || vec![candidate("a", "x", 0, 1)];
        assert_eq!(chosen(one(), None), Ok(0));
        let named = || vec![candidate("a", "x", 0, 1), candidate("b", "y", 1, 1)];
        assert_eq!(chosen(named(), Some("b")), Ok(1));
        let variants = vec![
            candidate("a", "x", 0, 0),
            candidate("a", "y", 0, 3),
            candidate("a", "z", 0, 3),
            candidate("a", "w", 0, 1),
        ];
        assert_eq!(chosen(variants, None), Ok(1));
        let equal = vec![candidate("a", "x", 0, 1), candidate("b", "x", 1, 1)];
        assert_eq!(chosen(equal, None), Ok(0));
    }

    #[test]
    fn an_image_is_meant_by_its_digest_or_enough_of_its_digits() {
        let all = || vec![candidate("a", "x", 0, 3), candidate("a", "y", 0, 1)];
        let digest = Digest::of(b"y").to_string();
        for text in [&digest, &digest[7..], &digest[7..19]] {
            assert_eq!(chosen(all(), Some(text)), Ok(1), "{text}");
        }
        assert!(chosen(all(), Some(&digest[7..18])).is_err());
    }

    #[test]
    fn a_refusal_lists_names_and_digests() {
        let all = || vec![candidate("a", "x", 0, 1), candidate("", "y", 1, 1)];
        let listed = format!("a, {}", Digest::of(b"y"));
        let many = format!("\"p\" holds 2 images; choose one with --ref: {listed}");
        assert_eq!(chosen(all(), None), Err(many));
        let none = format!("\"p\" holds no image \"z\", but {listed}");
        assert_eq!(chosen(all(), Some("z")), Err(none));
    }
}
