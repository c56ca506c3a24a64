//! Which resource a word means: `po`, `pod`, `pods`, `deployments.apps`, `pod/web`.

use api::ResourceInfo;

/// A resource and the names asked for (none: all of them).
#[derive(Debug)]
pub struct Asked {
    pub info: &'static ResourceInfo,
    pub names: Vec<String>,
}

pub fn find(word: &str) -> Result<&'static ResourceInfo, String> {
    let lower = word.to_lowercase();
    let (word_name, group) = lower.split_once('.').unwrap_or((&lower, ""));
    let matches = |info: &&ResourceInfo| {
        let named =
            info.resource == word_name || info.singular == word_name || info.short_names.contains(&word_name);
        named && (group.is_empty() || info.group == group) && info.has_verb("list")
    };
    let served = api::resources().iter().filter(|info| info.served_by_default);
    served.clone().find(matches).ok_or_else(|| format!("the server doesn't have a resource type {word:?}"))
}

/// Reads `TYPE NAME…` or `TYPE/NAME…`.
pub fn parse(words: &[String]) -> Result<Vec<Asked>, String> {
    let Some(first) = words.first() else {
        return Err("you must specify the type of resource, for example pods".into());
    };
    if first.contains('/') {
        return words
            .iter()
            .map(|word| {
                let (kind, name) = word
                    .split_once('/')
                    .ok_or("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form")?;
                Ok(Asked { info: find(kind)?, names: vec![name.into()] })
            })
            .collect();
    }
    let kinds: Result<Vec<_>, String> = first.split(',').map(find).collect();
    Ok(kinds?.into_iter().map(|info| Asked { info, names: words[1..].to_vec() }).collect())
}

/// As kubectl names an object: `pod/web`, `deployment.apps/web`.
pub fn object_name(info: &ResourceInfo, name: &str) -> String {
    if info.group.is_empty() {
        format!("{}/{name}", info.singular)
    } else {
        format!("{}.{}/{name}", info.singular, info.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_resources() {
        for word in ["po", "pod", "pods", "Pod"] {
            assert_eq!(find(word).expect("pods").resource, "pods");
        }
        assert_eq!(find("deployments.apps").expect("deployments").group, "apps");
        assert_eq!(find("nope").unwrap_err(), "the server doesn't have a resource type \"nope\"");
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        assert_eq!(parse(&words("pod/a pod/b")).expect("two")[1].names, ["b"]);
        assert_eq!(parse(&words("pods a b")).expect("one")[0].names, ["a", "b"]);
        assert!(parse(&words("pod/a b")).is_err());
    }
}
