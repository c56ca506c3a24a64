//! Conversion by webhook: objects between the versions of a definition that says so. Everything else needs no
//! call; callers need not know the difference.

use super::resource::Custom;
use crate::callout::Callee;
use crate::context::Result;
use crate::limits;
use crate::resources::Target;
use crate::server::Server;
use crate::{codec, handlers};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::{Path, Reason, Status, go, meta, validation};
use base64::Engine;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Entry, Event};

/// Key, and version that was wanted.
type Asked = (Arc<str>, String);

/// The webhook of a definition, and what it converted lately.
pub(crate) struct Converter {
    callee: Callee,
    /// The version of reviews that it knows and we, too.
    review: Option<&'static str>,
    known: Mutex<HashMap<Asked, Arc<Entry>>>,
}

impl Converter {
    /// Reads a `clientConfig`.
    pub fn new(client: &Value, reviews: &[String]) -> Converter {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let bundle = base64::engine::general_purpose::STANDARD.decode(text(client, "caBundle"));
        let bundle = bundle.unwrap_or_default();
        let bundle = if bundle.trim_ascii().is_empty() { Vec::new() } else { bundle };
        let service = &client["service"];
        let callee = if service.is_object() {
            let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
            let path = text(service, "path");
            Callee::service(&text(service, "namespace"), &text(service, "name"), port, &path, &bundle)
        } else {
            Callee::url(&text(client, "url"), &bundle)
        };
        let review = reviews.iter().find_map(|version| match version.as_str() {
            "v1" => Some("v1"),
            "v1beta1" => Some("v1beta1"),
            _ => None,
        });
        Converter { callee, review, known: Mutex::default() }
    }

    fn known(&self, entry: &Entry, api_version: &str) -> Option<Arc<Entry>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&(entry.key.clone(), api_version.to_owned()))?;
        (found.mod_revision == entry.mod_revision).then(|| found.clone())
    }

    fn remember(&self, entry: &Arc<Entry>, api_version: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::MAX_CONVERTED {
            known.clear();
        }
        known.insert((entry.key.clone(), api_version.to_owned()), entry.clone());
    }

    /// Asks the webhook.
    async fn convert(&self, server: &Server, objects: &[Value], to: &GroupVersionKind) -> Result<Vec<Value>> {
        let Some(first) = objects.first().and_then(meta::gvk) else { return Ok(Vec::new()) };
        let from = format!("{}, Kind={}", first.api_version(), first.kind);
        let failed = |text: String| {
            Box::new(Status::new(Reason::Unknown, format!("conversion webhook for {from} {text}")))
        };
        let Some(review) = self.review else {
            return Err(Box::new(Status::new(Reason::Unknown, "no supported conversion review versions")));
        };
        let uid = server.env.uuid();
        let body = json!({
            "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{review}"),
            "request": {"uid": uid, "desiredAPIVersion": to.api_version(), "objects": objects},
        });
        let answer = self.callee.post(server, Bytes::from(body.to_string()), limits::CONVERSION_TIME).await;
        let answer = answer.map_err(|text| failed(format!("failed: {text}")))?;
        let answer = schema::json_value(&answer).map_err(|error| failed(format!("failed: {error}")))?;
        let converted = converted(&answer, review, &uid).map_err(|text| failed(format!("failed: {text}")))?;
        if converted.len() != objects.len() {
            let (got, want) = (converted.len(), objects.len());
            return Err(failed(format!("returned {got} objects, expected {want}")));
        }
        let mut all = Vec::with_capacity(converted.len());
        for (index, (old, new)) in objects.iter().zip(converted).enumerate() {
            let checked = checked(old, new, to);
            let invalid = |text: String| failed(format!("returned invalid object at index {index}: {text}"));
            all.push(checked.map_err(invalid)?);
        }
        Ok(all)
    }
}

/// The objects in an answer.
fn converted(answer: &Value, review: &str, uid: &str) -> std::result::Result<Vec<Value>, String> {
    let response = &answer["response"];
    if review == "v1" {
        let (kind, version) = (meta::kind(answer), meta::api_version(answer));
        if (kind, version) != ("ConversionReview", "apiextensions.k8s.io/v1") {
            let wanted = "apiextensions.k8s.io/v1, Kind=ConversionReview";
            return Err(format!("expected webhook response of {wanted}, got {version}, Kind={kind}"));
        }
    }
    if !response.is_object() {
        return Err("no response provided".into());
    }
    let said = response["uid"].as_str().unwrap_or_default();
    if review == "v1" && said != uid {
        return Err(format!("expected response.uid={}, got {}", go::quote(uid), go::quote(said)));
    }
    let status = response["result"]["status"].as_str().unwrap_or_default();
    if status != "Success" {
        let message = response["result"]["message"].as_str().unwrap_or_default();
        return Err(match message {
            "" => format!("response.result.status was '{status}', not 'Success'"),
            message => message.to_owned(),
        });
    }
    Ok(response["convertedObjects"].as_array().cloned().unwrap_or_default())
}

/// A converted object is the same object: only labels and annotations of its metadata may be others.
fn checked(old: &Value, mut new: Value, to: &GroupVersionKind) -> std::result::Result<Value, String> {
    let wanted = to.api_version();
    if meta::api_version(&new) != wanted {
        let got = meta::api_version(&new).to_owned();
        return Err(format!("invalid groupVersion (expected {wanted}, received {got})"));
    }
    if meta::kind(&new) != meta::kind(old) {
        let (want, got) = (meta::kind(old), meta::kind(&new));
        return Err(format!("invalid kind (expected {want}, received {got})"));
    }
    for (what, want, got) in [
        ("name", meta::name(old), meta::name(&new)),
        ("namespace", meta::namespace(old), meta::namespace(&new)),
        ("UID", meta::uid(old), meta::uid(&new)),
    ] {
        if want != got {
            return Err(format!("must have the same {what}: {want} != {got}"));
        }
    }
    let Some(said) = new.get("metadata").and_then(Value::as_object).cloned() else {
        return Err("missing metadata in converted object".into());
    };
    let mut kept = meta::metadata(old).cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        let path = Path::new("metadata").child(field);
        match said.get(field) {
            None | Some(Value::Null) => {
                kept.remove(field);
            }
            Some(Value::Object(map)) => {
                texts(map, field)?;
                let check = if field == "labels" { validation::labels } else { validation::annotations };
                let errors = check(map, &path);
                if !errors.is_empty() {
                    return Err(apimachinery::field::aggregate(&errors));
                }
                kept.insert(field.into(), map.clone().into());
            }
            Some(_) => return Err(format!("invalid metadata.{field} in converted object")),
        }
    }
    new["metadata"] = kept.into();
    Ok(new)
}

fn texts(map: &Map<String, Value>, field: &str) -> std::result::Result<(), String> {
    match map.iter().find(|(_, value)| !value.is_string()) {
        Some((key, _)) => Err(format!("metadata.{field}[{key}] must be a string in converted object")),
        None => Ok(()),
    }
}

/// What must be asked, if anything: the converter, and the version that is wanted.
fn asked(custom: Option<&Custom>) -> Option<(&Custom, &Converter)> {
    let custom = custom?;
    Some((custom, custom.converter.as_deref()?))
}

impl Server {
    /// Entries as the version of the target shows them.
    pub(crate) async fn present(&self, target: &Target, entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>> {
        let Some((custom, converter)) = asked(target.custom.as_deref()) else { return Ok(entries) };
        let to = custom.version.info.gvk();
        let wanted = to.api_version();
        let mut shown = entries;
        let mut batch: Vec<(usize, Value)> = Vec::new();
        let mut size = 0;
        for index in 0..shown.len() {
            let entry = shown[index].clone();
            let tree = codec::tree(&entry);
            if meta::api_version(&tree) == wanted {
                continue;
            }
            if let Some(known) = converter.known(&entry, &wanted) {
                shown[index] = known;
                continue;
            }
            if size > 0 && size + entry.value.len() > limits::MAX_CONVERSION_BATCH {
                self.convert_batch(converter, &to, &mut batch, &mut shown).await?;
                size = 0;
            }
            size += entry.value.len();
            batch.push((index, (*tree).clone()));
        }
        self.convert_batch(converter, &to, &mut batch, &mut shown).await?;
        Ok(shown)
    }

    async fn convert_batch(
        &self,
        converter: &Converter,
        to: &GroupVersionKind,
        batch: &mut Vec<(usize, Value)>,
        shown: &mut [Arc<Entry>],
    ) -> Result<()> {
        let (places, objects): (Vec<usize>, Vec<Value>) = std::mem::take(batch).into_iter().unzip();
        if objects.is_empty() {
            return Ok(());
        }
        for (place, object) in places.into_iter().zip(converter.convert(self, &objects, to).await?) {
            let old = &shown[place];
            let value = codec::encode(&object);
            let (created, modified) = (old.create_revision, old.mod_revision);
            let entry = Arc::new(Entry::new(old.key.clone(), created, modified, old.expires_ms, value));
            converter.remember(&entry, &to.api_version());
            shown[place] = entry;
        }
        Ok(())
    }

    /// The same for one entry.
    pub(crate) async fn present_one(&self, target: &Target, entry: Arc<Entry>) -> Result<Arc<Entry>> {
        if asked(target.custom.as_deref()).is_none() {
            return Ok(entry);
        }
        let shown = self.present(target, vec![entry.clone()]).await?;
        Ok(shown.into_iter().next().unwrap_or(entry))
    }

    /// An event with its entries as the version of the target shows them.
    pub(crate) async fn present_event(&self, target: &Target, event: Arc<Event>) -> Result<Arc<Event>> {
        if asked(target.custom.as_deref()).is_none() {
            return Ok(event);
        }
        let entry = self.present_one(target, event.entry.clone()).await?;
        if event.deleted {
            return Ok(Arc::new(Event::delete(event.revision, entry, event.time_ms)));
        }
        let prev = match &event.prev {
            Some(prev) => Some(self.present_one(target, prev.clone()).await?),
            None => None,
        };
        Ok(Arc::new(Event::put(entry, prev, event.time_ms)))
    }

    /// The bytes that are stored for an object of the target.
    pub(crate) async fn stored_bytes(&self, target: &Target, object: &Value) -> Result<Bytes> {
        let Some((custom, converter)) = asked(target.custom.as_deref()) else {
            return Ok(codec::encode(&target.to_stored(object)));
        };
        let to = custom.definition.stored().info.gvk();
        if meta::api_version(object) == to.api_version() {
            return Ok(codec::encode(object));
        }
        let converted = converter.convert(self, std::slice::from_ref(object), &to).await?;
        Ok(codec::encode(converted.first().unwrap_or(object)))
    }

    /// An object, as a client or admission has it, in the version of the target.
    pub(crate) async fn in_version(&self, target: &Target, object: Value) -> Result<Value> {
        let Some(custom) = &target.custom else { return Ok(object) };
        let to = custom.version.info.gvk();
        if meta::api_version(&object) == to.api_version() {
            return Ok(object);
        }
        let mut object = match &custom.converter {
            None => {
                let mut object = object;
                custom.to_version(&mut object, &custom.version);
                object
            }
            Some(converter) => {
                let converted = converter.convert(self, std::slice::from_ref(&object), &to).await?;
                converted.into_iter().next().unwrap_or(object)
            }
        };
        custom.version.settle_stored(&mut object);
        Ok(object)
    }

    /// What a list shows.
    pub(crate) async fn present_list(&self, listed: &mut handlers::list::Listed) -> Result<()> {
        let entries = std::mem::take(&mut listed.entries);
        listed.entries = self.present(&listed.target.clone(), entries).await?;
        Ok(())
    }
}
