// Package pages holds the pages of the rules of kubectl pyflow lint.
package pages

import "embed"

//go:embed *.md
var files embed.FS

// Read returns the page of a rule, in Markdown; ok is false if there is none.
func Read(rule string) (page string, ok bool) {
	content, err := files.ReadFile(rule + ".md")
	return string(content), err == nil && rule != "README"
}

// Names returns the rules that have a page, sorted.
func Names() []string {
	// Embedded files can always be read.
	entries, _ := files.ReadDir(".")
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); name != "README.md" {
			names = append(names, name[:len(name)-len(".md")])
		}
	}
	return names
}
