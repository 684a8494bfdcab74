package view

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Pager divides a long list into pages. Page and Pages count from 1. Previous and Next are
// links; empty if there is no such page.
type Pager struct {
	Page, Pages    int
	Previous, Next string
}

// Paginate returns the page of items that query asks for by page=N, the nearest that exists,
// and the links to its neighbors, which keep the rest of query.
func Paginate[T any](items []T, size int, path string, query url.Values) ([]T, Pager) {
	pages := max(1, (len(items)+size-1)/size)
	wanted, _ := strconv.Atoi(query.Get("page"))
	pager := Pager{Page: min(max(1, wanted), pages), Pages: pages}
	link := func(page int) string {
		if page < 1 || page > pages {
			return ""
		}
		values := url.Values{}
		for key, value := range query {
			values[key] = value
		}
		values.Set("page", strconv.Itoa(page))
		return path + "?" + values.Encode()
	}
	pager.Previous, pager.Next = link(pager.Page-1), link(pager.Page+1)
	start := (pager.Page - 1) * size
	return items[start:min(start+size, len(items))], pager
}

// Mentions reports whether one of fields has the text that a user filters a list by, in any
// case; an empty text is in all.
func Mentions(text string, fields ...string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return text == "" || slices.ContainsFunc(fields, func(field string) bool { return strings.Contains(strings.ToLower(field), text) })
}
