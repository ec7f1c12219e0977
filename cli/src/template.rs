//! `--to plant-{line}/pump-{id}`: a path with columns in it, each within one segment.

use std::fmt::Write;

use crate::rows::Field;

/// A path with places for columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A brace without its partner, or none between.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(open);
            let Some((column, after)) = from.strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
                return Err(format!("`{text}` has a brace without its partner: {{column}} stands for a column"));
            };
            if column.is_empty() || column.contains('{') {
                return Err(format!("`{text}` has braces without a column between them"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Column(column.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            return Err("a path is missing".to_owned());
        }
        Ok(Template { parts })
    }

    /// The columns, in order; one that stands twice is there twice.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Column(column) => Some(column.as_str()),
        })
    }

    /// The path of a row; `fields` are those of [`Template::columns`].
    ///
    /// # Errors
    /// A field that is empty or would be more than one segment. Whether the whole is a path is for
    /// the runtime to say.
    pub fn fill(&self, fields: &[Field]) -> Result<String, String> {
        let mut path = String::new();
        let mut fields = fields.iter();
        for part in &self.parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Column(column) => {
                    let field = fields.next().map(Field::text).unwrap_or_default();
                    if field.is_empty() {
                        return Err(format!("column `{column}` is empty, and the path needs it"));
                    }
                    if field.contains('/') {
                        return Err(format!("column `{column}` is `{field}`, which is no single segment of a path"));
                    }
                    // Writing to a string does not fail.
                    let _ = write!(path, "{field}");
                }
            }
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, fields: &[&str]) -> Result<String, String> {
        let fields: Vec<Field> = fields.iter().map(|field| Field::Text((*field).to_owned())).collect();
        Template::parse(template)?.fill(&fields)
    }

    #[test]
    fn a_column_fills_one_segment() {
        assert_eq!(fill("machine", &[]), Ok("machine".to_owned()));
        assert_eq!(fill("plant-{line}/pump-{id}", &["3", "007"]), Ok("plant-3/pump-007".to_owned()));
        assert!(fill("{a}", &["x/y"]).is_err());
        assert!(fill("{a}", &[""]).is_err());
    }

    #[test]
    fn braces_come_in_pairs() {
        for text in ["{", "}", "a{}", "{a", "a}b", "{{a}}", ""] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let template = Template::parse("{a}-{b}/{a}").expect("a template");
        assert_eq!(template.columns().collect::<Vec<_>>(), ["a", "b", "a"]);
    }
}
