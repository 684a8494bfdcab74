package pipindex

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
)

// An anchor of a simple index page, and the attributes that promise a separate
// metadata file: those are dropped, so that pip reads the metadata from the
// file itself, which is cached anyway.
var (
	anchor   = regexp.MustCompile(`(?is)<a\s[^>]*>`)
	href     = regexp.MustCompile(`(?is)\bhref\s*=\s*("[^"]*"|'[^']*')`)
	metadata = regexp.MustCompile(`(?is)\s+data-(?:dist-info-metadata|core-metadata)(?:\s*=\s*(?:"[^"]*"|'[^']*'))?`)
	base     = regexp.MustCompile(`(?is)<base\s[^>]*>`)
)

// link is a file that an index page offers.
type link struct {
	// URL is absolute and has no fragment.
	URL string
	// SHA256 is the file's checksum in hex, or empty when the page gives none.
	SHA256 string
}

// name is the last element of the URL's path, which is the file's name.
func (l link) name() string {
	parsed, err := url.Parse(l.URL)
	if err != nil {
		return ""
	}
	return parsed.Path[strings.LastIndex(parsed.Path, "/")+1:]
}

// rewrite makes every file link of a simple index page point to local(link)
// and keeps everything else, the checksum in the fragment included. pageURL is
// what relative links are relative to. It returns the links it met.
func rewrite(page, pageURL string, local func(link) string) (string, []link, error) {
	root, err := url.Parse(pageURL)
	if err != nil {
		return "", nil, fmt.Errorf("parse page address: %w", err)
	}
	if element := base.FindString(page); element != "" {
		if found := href.FindStringSubmatch(element); found != nil {
			if changed, err := root.Parse(unquote(found[1])); err == nil {
				root = changed
			}
		}
		page = base.ReplaceAllString(page, "")
	}
	var links []link
	page = anchor.ReplaceAllStringFunc(page, func(element string) string {
		found := href.FindStringSubmatch(element)
		if found == nil {
			return element
		}
		target, err := root.Parse(unquote(found[1]))
		if err != nil {
			return element
		}
		fragment := target.Fragment
		target.Fragment = ""
		file := link{URL: target.String()}
		if sum, ok := strings.CutPrefix(fragment, "sha256="); ok {
			file.SHA256 = strings.ToLower(sum)
		}
		links = append(links, file)
		replacement := local(file)
		if fragment != "" {
			replacement += "#" + fragment
		}
		element = metadata.ReplaceAllString(element, "")
		// Not ReplaceAllString: a dollar sign in a link is no reference here.
		at := href.FindStringIndex(element)
		return element[:at[0]] + `href="` + html.EscapeString(replacement) + `"` + element[at[1]:]
	})
	return page, links, nil
}

func unquote(attribute string) string {
	return html.UnescapeString(strings.TrimSpace(attribute[1 : len(attribute)-1]))
}

var separators = regexp.MustCompile(`[-_.]+`)

// normalize is the name under which an index knows a project (PEP 503).
func normalize(project string) string {
	return separators.ReplaceAllString(strings.ToLower(project), "-")
}

var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
