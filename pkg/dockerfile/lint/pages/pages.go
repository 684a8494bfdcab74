// Package pages has the pages of the rules that kubectl pyflow lint checks.
package pages

import "embed"

//go:embed *.md
var files embed.FS

// Read returns the page of a rule, in Markdown, and whether there is one.
func Read(rule string) (string, bool) {
	content, err := files.ReadFile(rule + ".md")
	return string(content), err == nil && rule != "README"
}

// Names returns the rules that have a page, sorted.
func Names() []string {
	// What is embedded can be read.
	entries, _ := files.ReadDir(".")
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); name != "README.md" {
			names = append(names, name[:len(name)-len(".md")])
		}
	}
	return names
}
