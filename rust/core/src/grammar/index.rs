//! Where references lead: resources by `$id`, anchors, dynamic anchors; no network.
//!
//! A *resource* is a schema with a URI of its own; every other schema belongs to the nearest one
//! above it.

use std::collections::BTreeMap;

use super::document::{Document, Node, NodeId};
use super::draft::{Draft, LISTS, MAPS, SINGLE};
use super::hash::Map;
use super::refusal::{Refusal, Result};
use super::uri;

/// The base of a document that names none.
const ROOT_URI: &str = "schema:/root";

/// The references of one document, ready to be followed.
#[derive(Debug)]
pub struct Index {
    by_uri: Map<String, NodeId>,
    resources: BTreeMap<NodeId, (String, Draft)>,
    anchors: Map<(NodeId, String), NodeId>,
    dynamic_anchors: Map<(NodeId, String), NodeId>,
    recursive_anchors: Map<NodeId, bool>,
}

impl Index {
    /// Walks every place where the draft has a schema.
    pub fn of(document: &Document) -> Self {
        let draft = declared(document, 0).unwrap_or(Draft::Draft2020);
        let mut index = Self {
            by_uri: Map::from_iter([(ROOT_URI.to_owned(), 0)]),
            resources: BTreeMap::from([(0, (ROOT_URI.to_owned(), draft))]),
            anchors: Map::default(),
            dynamic_anchors: Map::default(),
            recursive_anchors: Map::default(),
        };
        let mut open = vec![(0, 0)];
        while let Some((node, resource)) = open.pop() {
            let resource = index.enter(document, node, resource);
            let draft = index.resources[&resource].1;
            let hidden = draft.ref_hides_siblings() && document.get(node, "$ref").is_some();
            for (keyword, value) in document.members(node) {
                let keyword = &**keyword;
                if hidden && keyword != "definitions" && keyword != "$defs" {
                    continue;
                }
                if MAPS.contains(&keyword) {
                    open.extend(document.members(*value).iter().map(|m| (m.1, resource)));
                } else if let (true, Node::Array(items)) =
                    (LISTS.contains(&keyword), document.node(*value))
                {
                    open.extend(items.iter().map(|&item| (item, resource)));
                } else if SINGLE.contains(&keyword) {
                    open.push((*value, resource));
                }
            }
        }
        index
    }

    fn enter(&mut self, document: &Document, node: NodeId, resource: NodeId) -> NodeId {
        let draft = declared(document, node).unwrap_or(self.resources[&resource].1);
        if draft.ref_hides_siblings() && document.get(node, "$ref").is_some() {
            return resource;
        }
        let text = |keyword: &str| {
            document
                .get(node, keyword)
                .and_then(|value| document.string(value))
                .map(str::to_owned)
        };
        let mut home = resource;
        if let Some(id) = text(draft.id_keyword()) {
            let (place, fragment) = uri::without_fragment(&id);
            if !place.is_empty() {
                let absolute = uri::resolved(&self.resources[&resource].0, place);
                self.by_uri.entry(absolute.clone()).or_insert(node);
                self.resources.insert(node, (absolute, draft));
                home = node;
            }
            if !fragment.is_empty() && draft <= Draft::Draft7 {
                self.anchors
                    .entry((home, fragment.to_owned()))
                    .or_insert(node);
            }
        }
        if draft >= Draft::Draft2019 {
            if let Some(name) = text("$anchor") {
                self.anchors.entry((home, name)).or_insert(node);
            }
            if let Some(name) = text("$dynamicAnchor") {
                self.anchors.entry((home, name.clone())).or_insert(node);
                self.dynamic_anchors.entry((home, name)).or_insert(node);
            }
            let flag = document.get(node, "$recursiveAnchor");
            if flag.is_some_and(|flag| *document.node(flag) == Node::Bool(true)) {
                self.recursive_anchors.insert(home, true);
            }
        }
        home
    }

    /// The resource that a schema belongs to.
    pub fn resource_of(&self, document: &Document, node: NodeId) -> NodeId {
        if self.resources.len() == 1 {
            return 0;
        }
        let mut at = node;
        while !self.resources.contains_key(&at) {
            at = document.parent(at);
        }
        at
    }

    /// The draft by whose rules a schema is read.
    pub fn draft_of(&self, document: &Document, node: NodeId) -> Draft {
        self.resources[&self.resource_of(document, node)].1
    }

    /// Whether the meaning of some reference depends on the way that led to it.
    pub fn is_dynamic(&self) -> bool {
        !self.dynamic_anchors.is_empty() || !self.recursive_anchors.is_empty()
    }

    /// Where a `$ref` leads.
    ///
    /// # Errors
    /// Unsupported where it leads out of the document, invalid where to nothing.
    pub fn target(&self, document: &Document, node: NodeId, reference: &str) -> Result<NodeId> {
        let home = self.resource_of(document, node);
        let (place, fragment) = uri::without_fragment(reference);
        let resource = if place.is_empty() {
            home
        } else {
            let absolute = uri::resolved(&self.resources[&home].0, place);
            *self.by_uri.get(&absolute).ok_or_else(|| {
                Refusal::unsupported("$ref", format!("'{reference}' is not in this schema"))
                    .hint("put the referred schema under $defs; nothing is fetched")
            })?
        };
        let missing = || {
            Refusal::invalid("$ref", format!("'{reference}' leads to nothing"))
                .hint("check the JSON pointer or the anchor's name")
        };
        let fragment = uri::decoded(fragment).ok_or_else(missing)?;
        if fragment.is_empty() {
            return Ok(resource);
        }
        match fragment.strip_prefix('/') {
            Some(path) => followed(document, resource, path).ok_or_else(missing),
            None => self
                .anchors
                .get(&(resource, fragment))
                .copied()
                .ok_or_else(missing),
        }
    }

    /// Where a `$dynamicRef` leads from within these resources, outermost first.
    ///
    /// # Errors
    /// As [`Index::target`].
    pub fn dynamic_target(
        &self,
        document: &Document,
        node: NodeId,
        reference: &str,
        scope: &[NodeId],
    ) -> Result<NodeId> {
        let first = self.target(document, node, reference)?;
        let (_, name) = uri::without_fragment(reference);
        let home = self.resource_of(document, first);
        let bookend = self.dynamic_anchors.get(&(home, name.to_owned())) == Some(&first);
        if !bookend {
            return Ok(first);
        }
        let outer = scope.iter().find_map(|&resource| {
            self.dynamic_anchors
                .get(&(resource, name.to_owned()))
                .copied()
        });
        Ok(outer.unwrap_or(first))
    }

    /// Where a `$recursiveRef: "#"` leads from within these resources, outermost first.
    pub fn recursive_target(&self, document: &Document, node: NodeId, scope: &[NodeId]) -> NodeId {
        let home = self.resource_of(document, node);
        if !self.recursive_anchors.contains_key(&home) {
            return home;
        }
        let mut target = home;
        for &resource in scope.iter().rev() {
            if !self.recursive_anchors.contains_key(&resource) {
                break;
            }
            target = resource;
        }
        target
    }
}

fn declared(document: &Document, node: NodeId) -> Option<Draft> {
    let uri = document.get(node, "$schema")?;
    Draft::of_uri(document.string(uri)?)
}

/// The value at a JSON pointer (without its first slash) below a node.
fn followed(document: &Document, from: NodeId, path: &str) -> Option<NodeId> {
    path.split('/').try_fold(from, |node, part| {
        let name = part.replace("~1", "/").replace("~0", "~");
        match document.node(node) {
            Node::Array(items) => items.get(name.parse::<usize>().ok()?).copied(),
            _ => document.get(node, &name),
        }
    })
}
