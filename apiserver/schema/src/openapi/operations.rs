//! The paths of a resource and what can be done on each, as OpenAPI names them.

use std::fmt::Write;

use super::definitions::META;
use super::{Resource, Subresource};

/// A parameter of a path or an operation.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub name: &'static str,
    /// `query` or `path`.
    pub place: &'static str,
    /// `string`, `integer` or `boolean`.
    pub kind: &'static str,
    pub text: &'static str,
}

const fn query(name: &'static str, kind: &'static str, text: &'static str) -> Parameter {
    Parameter { name, place: "query", kind, text }
}

const fn in_path(name: &'static str, text: &'static str) -> Parameter {
    Parameter { name, place: "path", kind: "string", text }
}

const NAMESPACE: Parameter = in_path("namespace", "object name and auth scope, such as for teams and projects");
const NAME: Parameter = in_path("name", "name of the object");
const SUBPATH: Parameter = in_path("path", "path of the URL that is requested");
const PRETTY: Parameter = query("pretty", "string", "If 'true', the answer is indented for people.");
const DRY_RUN: Parameter =
    query("dryRun", "string", "'All': go through every stage of the request, but persist nothing.");
const FIELD_MANAGER: Parameter =
    query("fieldManager", "string", "The name of the actor that makes the change; at most 128 printable characters.");
const FIELD_VALIDATION: Parameter = query(
    "fieldValidation",
    "string",
    "What to do with unknown and duplicate fields: 'Ignore', 'Warn' (the default) or 'Strict', which refuses them.",
);
const FORCE: Parameter =
    query("force", "boolean", "Take over fields that others own. Only for apply patches; must be unset for others.");
const RESOURCE_VERSION: Parameter =
    query("resourceVersion", "string", "Which versions the answer may be served from; unset: the most recent.");

/// In the order of their names, as the documents have them.
const LIST: [Parameter; 11] = [
    query("allowWatchBookmarks", "boolean", "Ask for events of type BOOKMARK in a watch."),
    query("continue", "string", "The token of the previous page's answer: asks for the next page."),
    query("fieldSelector", "string", "Restrict the objects by their fields. Defaults to everything."),
    query("labelSelector", "string", "Restrict the objects by their labels. Defaults to everything."),
    query("limit", "integer", "The most objects to return in one page."),
    RESOURCE_VERSION,
    query("resourceVersionMatch", "string", "How resourceVersion is applied to a list: 'Exact' or 'NotOlderThan'."),
    query("sendInitialEvents", "boolean", "Start a watch with synthetic events for the objects that exist."),
    query("shardSelector", "string", "Restrict the objects to a shard of the key space."),
    query("timeoutSeconds", "integer", "End the list or watch after this many seconds."),
    query("watch", "boolean", "Stream the changes of the objects instead of listing them."),
];

const WRITE: [Parameter; 3] = [DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH: [Parameter; 4] = [DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const DELETE: [Parameter; 5] = [
    DRY_RUN,
    query("gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 deletes at once."),
    query(
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Delete an object that cannot be read from the store, without its finalizers and preconditions.",
    ),
    query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    query("propagationPolicy", "string", "What becomes of dependents: 'Orphan', 'Background' or 'Foreground'."),
];

/// The body of a request.
pub(super) enum Body {
    /// A definition, in JSON or YAML; and whether it must be there.
    Object(String, bool),
    Patch {
        strategic: bool,
    },
}

/// What a successful answer holds.
pub(super) enum Answer {
    Object(String),
    /// A list, or a stream of events.
    Collection(String),
    /// Bytes or text that no schema describes.
    Stream,
}

pub(super) struct Operation {
    pub method: &'static str,
    /// `x-kubernetes-action`.
    pub action: &'static str,
    pub id: String,
    pub text: String,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    pub answer: Answer,
    /// Success codes besides 200.
    pub codes: &'static [u16],
    /// `x-kubernetes-group-version-kind`.
    pub kind: (String, String, String),
}

pub(super) struct Path {
    pub path: String,
    pub parameters: Vec<Parameter>,
    pub operations: Vec<Operation>,
}

/// `AppsV1`, `RbacAuthorizationV1`, `OCrdOpenapiIoV1`: how operation ids spell a group version.
pub(super) fn title(group: &str, version: &str) -> String {
    let mut out = group_title(group);
    capitalize(version, &mut out);
    out
}

/// `Core`, `RbacAuthorization`.
pub(super) fn group_title(group: &str) -> String {
    if group.is_empty() {
        return "Core".to_owned();
    }
    let mut out = String::new();
    let short = group.strip_suffix(".k8s.io").unwrap_or(group);
    short.split(['.', '-']).for_each(|part| capitalize(part, &mut out));
    out
}

/// `apps_v1`: the tag of a group version's operations.
pub(super) fn tag(group: &str, version: &str) -> String {
    let title = group_title(group);
    let mut characters = title.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    let mut tag: String = first.into_iter().chain(characters).collect();
    if !version.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(tag, "_{version}");
    }
    tag
}

fn capitalize(part: &str, out: &mut String) {
    let mut characters = part.chars();
    out.extend(characters.next().map(|first| first.to_ascii_uppercase()));
    out.push_str(characters.as_str());
}

/// `/api/v1`, `/apis/apps/v1`.
pub(super) fn base(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// The paths of a resource, in the order in which the documents sort them.
pub(super) fn paths(resource: &Resource) -> Vec<Path> {
    let builder = Builder { resource, title: title(&resource.group, &resource.version) };
    let base = base(&resource.group, &resource.version);
    let plural = &resource.plural;
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let mut out = vec![builder.collection(format!("{base}{scope}/{plural}"))];
    if resource.namespaced && resource.has("list") {
        out.push(builder.all_namespaces(format!("{base}/{plural}")));
    }
    out.push(builder.object(format!("{base}{scope}/{plural}/{{name}}")));
    for subresource in &resource.subresources {
        let path = format!("{base}{scope}/{plural}/{{name}}/{}", subresource.name);
        out.push(builder.subresource(path.clone(), subresource, ""));
        if subresource.name == "proxy" {
            out.push(builder.subresource(path + "/{path}", subresource, "WithPath"));
        }
    }
    if resource.has("watch") {
        let watch = base + "/watch";
        if resource.namespaced {
            out.push(builder.watch(format!("{watch}/{plural}"), Watched::AllNamespaces));
        }
        out.push(builder.watch(format!("{watch}{scope}/{plural}"), Watched::Collection));
        out.push(builder.watch(format!("{watch}{scope}/{plural}/{{name}}"), Watched::Object));
    }
    out.retain(|path| !path.operations.is_empty());
    out
}

#[derive(PartialEq)]
enum Watched {
    AllNamespaces,
    Collection,
    Object,
}

struct Builder<'r> {
    resource: &'r Resource,
    title: String,
}

impl Builder<'_> {
    /// `{verb}AppsV1NamespacedDeployment{suffix}`.
    fn id(&self, verb: &str, suffix: &str) -> String {
        let scope = if self.resource.namespaced { "Namespaced" } else { "" };
        format!("{verb}{}{scope}{}{suffix}", self.title, self.resource.kind)
    }

    fn operation(&self, method: &'static str, action: &'static str, id: String, text: String) -> Operation {
        let resource = self.resource;
        Operation {
            method,
            action,
            id,
            text,
            parameters: Vec::new(),
            body: None,
            answer: Answer::Object(resource.definition()),
            codes: &[],
            kind: (resource.group.clone(), resource.version.clone(), resource.kind.clone()),
        }
    }

    fn scoped(&self, named: bool) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        parameters.extend(named.then_some(NAME));
        parameters.extend(self.resource.namespaced.then_some(NAMESPACE));
        parameters.push(PRETTY);
        parameters
    }

    fn collection(&self, path: String) -> Path {
        let resource = self.resource;
        let kind = &resource.kind;
        let mut operations = Vec::new();
        if resource.has("list") {
            let mut list = self.operation("get", "list", self.id("list", ""), format!("list objects of kind {kind}"));
            list.parameters = LIST.to_vec();
            list.answer = Answer::Collection(resource.list_definition());
            operations.push(list);
        }
        if resource.has("create") {
            let mut create = self.operation("post", "post", self.id("create", ""), format!("create a {kind}"));
            create.parameters = WRITE.to_vec();
            create.body = Some(Body::Object(resource.definition(), true));
            create.codes = &[201, 202];
            operations.push(create);
        }
        if resource.has("deletecollection") {
            let id = format!("delete{}Collection{}", self.title, self.id("", "").replacen(&self.title, "", 1));
            let text = format!("delete collection of {kind}");
            let mut delete = self.operation("delete", "deletecollection", id, text);
            let own = DELETE.iter().filter(|own| LIST.iter().all(|list| list.name != own.name));
            delete.parameters = LIST.iter().chain(own).copied().collect();
            delete.parameters.sort_by_key(|parameter| parameter.name);
            delete.body = Some(Body::Object(format!("{META}DeleteOptions"), false));
            delete.answer = Answer::Object(format!("{META}Status"));
            operations.push(delete);
        }
        Path { path, parameters: self.scoped(false), operations }
    }

    fn all_namespaces(&self, path: String) -> Path {
        let resource = self.resource;
        let id = format!("list{}{}ForAllNamespaces", self.title, resource.kind);
        let mut list = self.operation("get", "list", id, format!("list objects of kind {}", resource.kind));
        list.answer = Answer::Collection(resource.list_definition());
        Path { path, parameters: list_parameters(), operations: vec![list] }
    }

    fn object(&self, path: String) -> Path {
        let resource = self.resource;
        let kind = &resource.kind;
        let mut operations = Vec::new();
        if resource.has("get") {
            let mut get = self.operation("get", "get", self.id("read", ""), format!("read the specified {kind}"));
            get.parameters = vec![RESOURCE_VERSION];
            operations.push(get);
        }
        if resource.has("update") {
            let text = format!("replace the specified {kind}");
            operations.push(self.put(self.id("replace", ""), text, resource.definition()));
        }
        if resource.has("delete") {
            let mut delete = self.operation("delete", "delete", self.id("delete", ""), format!("delete a {kind}"));
            delete.parameters = DELETE.to_vec();
            delete.body = Some(Body::Object(format!("{META}DeleteOptions"), false));
            delete.answer = Answer::Object(format!("{META}Status"));
            delete.codes = &[202];
            operations.push(delete);
        }
        if resource.has("patch") {
            operations.push(self.patch(self.id("patch", ""), format!("partially update the specified {kind}")));
        }
        Path { path, parameters: self.scoped(true), operations }
    }

    fn put(&self, id: String, text: String, definition: String) -> Operation {
        let mut put = self.operation("put", "put", id, text);
        put.parameters = WRITE.to_vec();
        put.body = Some(Body::Object(definition, true));
        put.codes = &[201];
        put
    }

    fn patch(&self, id: String, text: String) -> Operation {
        let mut patch = self.operation("patch", "patch", id, text);
        let strategic = self.resource.schema.is_none();
        patch.parameters = PATCH.to_vec();
        patch.body = Some(Body::Patch { strategic });
        patch.codes = if strategic { &[201] } else { &[] };
        patch
    }

    fn subresource(&self, path: String, subresource: &Subresource, suffix: &str) -> Path {
        let kind = &self.resource.kind;
        let name = &subresource.name;
        let mut title = String::new();
        capitalize(name, &mut title);
        title.push_str(suffix);
        // exec, attach, port-forward and proxy hand the connection on: their kind is a set of options.
        let connects = subresource.kind.ends_with("Options") && name != "log";
        let definition = super::definition_of(&subresource.group, &subresource.version, &subresource.kind)
            .unwrap_or_else(|| self.resource.definition());
        let mut operations = Vec::new();
        for verb in &subresource.verbs {
            let mut operation = match verb.as_str() {
                "get" if !connects => {
                    let text = format!("read {name} of the specified {kind}");
                    let mut get = self.operation("get", "get", self.id("read", &title), text);
                    get.parameters = vec![RESOURCE_VERSION];
                    get
                }
                "create" if !connects => {
                    let text = format!("create {name} of a {kind}");
                    let mut create = self.operation("post", "post", self.id("create", &title), text);
                    create.parameters = WRITE.to_vec();
                    create.body = Some(Body::Object(definition.clone(), true));
                    create.codes = &[201, 202];
                    create
                }
                "update" if !connects => {
                    let text = format!("replace {name} of the specified {kind}");
                    self.put(self.id("replace", &title), text, definition.clone())
                }
                "patch" if !connects => {
                    let text = format!("partially update {name} of the specified {kind}");
                    self.patch(self.id("patch", &title), text)
                }
                connecting => {
                    let (method, word) = match connecting {
                        "get" => ("get", "Get"),
                        "create" => ("post", "Post"),
                        "update" => ("put", "Put"),
                        "patch" => ("patch", "Patch"),
                        "delete" => ("delete", "Delete"),
                        _ => continue,
                    };
                    let id = self.id("connect", &title).replacen(&self.title, &format!("{}{word}", self.title), 1);
                    let text = format!("connect {} requests to {name} of {kind}", word.to_ascii_uppercase());
                    self.operation(method, "connect", id, text)
                }
            };
            operation.kind = (subresource.group.clone(), subresource.version.clone(), subresource.kind.clone());
            operation.answer =
                if connects || name == "log" { Answer::Stream } else { Answer::Object(definition.clone()) };
            operations.push(operation);
        }
        let mut parameters = self.scoped(true);
        parameters.extend((!suffix.is_empty()).then_some(SUBPATH));
        Path { path, parameters, operations }
    }

    /// The older way to watch, by path.
    fn watch(&self, path: String, watched: Watched) -> Path {
        let kind = &self.resource.kind;
        let (action, id, text) = match watched {
            Watched::AllNamespaces => {
                ("watchlist", format!("watch{}{kind}ListForAllNamespaces", self.title), "a list of")
            }
            Watched::Collection => ("watchlist", self.id("watch", "List"), "a list of"),
            Watched::Object => ("watch", self.id("watch", ""), "an object of kind"),
        };
        let text = format!("watch changes to {text} {kind}. deprecated: use the 'watch' parameter with a list");
        let mut operation = self.operation("get", action, id, text);
        operation.answer = Answer::Collection(format!("{META}WatchEvent"));
        let mut parameters = list_parameters();
        parameters.extend((watched == Watched::Object).then_some(NAME));
        parameters.extend((self.resource.namespaced && watched != Watched::AllNamespaces).then_some(NAMESPACE));
        parameters.sort_by_key(|parameter| parameter.name);
        Path { path, parameters, operations: vec![operation] }
    }
}

fn list_parameters() -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = LIST.iter().chain([&PRETTY]).copied().collect();
    parameters.sort_by_key(|parameter| parameter.name);
    parameters
}
