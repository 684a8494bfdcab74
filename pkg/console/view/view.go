// Package view renders the views of the console: models in, HTML out. Everything in a model
// is text from a cluster, and stays text: html/template escapes it, and nothing here makes
// HTML of its own.
package view

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

//go:embed templates/*.html
var files embed.FS

// Page is one view.
type Page struct {
	// Title is the name of the view, for the title of the tab.
	Title string
	// Section is the entry of the navigation that the view belongs to: runs, apps, registry
	// or platform.
	Section string
	// Template is the name of a file in templates, without its ending. Model is its data.
	Template string
	Model    any
}

// Action is something that the user can do from a view. It opens a dialog that shows the
// command that does the same.
type Action struct {
	// Name is the path of the action below /api/actions/. ID is unique in the view.
	Name, ID string
	// Label is on the button, Title heads the dialog, Text explains what happens. Spoken is the
	// label with what it is about, for an action of a row of a table; empty is Label.
	Label, Title, Text, Spoken string
	// Fields are sent with the action, Inputs are for the user to fill in.
	Fields []Field
	Inputs []Input
	// Command is what to type in a terminal instead; empty as long as inputs are missing.
	Command string
	// Denied names the permission that the user lacks; empty if there is none.
	Denied string
	// Danger marks what cannot be undone.
	Danger bool
}

// Field is a fixed value of an Action.
type Field struct{ Name, Value string }

// Input is a value of an Action that the user decides.
type Input struct {
	Name, Label, Value, Hint string
	// Kind is text, checkbox, lines or choice; empty is text. A checkbox is on if Value is not
	// empty. A choice is one of Choices.
	Kind     string
	Choices  []Choice
	Required bool
}

// Renderer renders pages. It is safe for concurrent use.
type Renderer struct{ templates *template.Template }

// NewRenderer parses the templates. An error is a fault of the program.
func NewRenderer() (*Renderer, error) {
	templates, err := template.New("").Funcs(functions()).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the templates: %w", err)
	}
	return &Renderer{templates}, nil
}

// Render returns the HTML of a page, without the frame around it.
func (r *Renderer) Render(page Page) (string, error) {
	var out bytes.Buffer
	if err := r.templates.ExecuteTemplate(&out, page.Template+".html", page.Model); err != nil {
		return "", fmt.Errorf("render %s: %w", page.Template, err)
	}
	return out.String(), nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"brief":   brief,
		"bytes":   display.Bytes,
		"clean":   display.Sanitize,
		"count":   display.Count,
		"digest":  func(digest string) string { return display.Digest(digest, false) },
		"join":    strings.Join,
		"rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"seconds": func(s int64) string { return display.Seconds(time.Duration(s) * time.Second) },
		"took":    display.Seconds,
		"commit":  func(commit string) string { return commit[:min(len(commit), 8)] },
		"path":    Path,
		"kind":    kindOf,
		"list":    func(values ...any) []any { return values },
		"table":   table,
		"first":   func(shares []Share) []Share { return shares[:min(len(shares), shownShares)] },
		"more":    func(shares []Share) []Share { return shares[min(len(shares), shownShares):] },
		"command": display.QuoteCommand,
		"lower":   func(v any) string { return strings.ToLower(fmt.Sprint(v)) },
		"percent": func(part, whole int64) string {
			if whole <= 0 {
				return "0"
			}
			return fmt.Sprintf("%.2f", 100*float64(part)/float64(whole))
		},
	}
}

// table returns the data of a nested template from names and values.
func table(pairs ...any) (map[string]any, error) {
	data := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is not a name", pairs[i])
		}
		data[name] = pairs[i+1]
	}
	return data, nil
}

var wholeDigest = regexp.MustCompile(`\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b`)

// brief returns a message for a narrow place, with digests as short as elsewhere.
func brief(message string) string {
	return wholeDigest.ReplaceAllString(display.Sanitize(message), "$1…")
}

// Path returns the path of a view from its elements, which may hold any character.
func Path(elements ...string) string {
	escaped := make([]string, len(elements))
	for i, element := range elements {
		escaped[i] = url.PathEscape(element)
	}
	return "/" + path.Join(escaped...)
}
