package images

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/term"
)

// instructionWidth is how much of an instruction a table shows.
const instructionWidth = 60

// printAnalysis writes what an image is made of as tables, with at most top packages;
// 0 is all.
func printAnalysis(analysis *inspect.Analysis, top int, wide bool, out io.Writer) error {
	user := analysis.User
	switch {
	case user == "":
		user = "root (no USER)"
	case analysis.Root && !strings.HasPrefix(user, "root"):
		user += " (root)"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "image  %s@%s\n", analysis.Repository, analysis.Digest)
	fmt.Fprintf(&text, "size   %s compressed, %s on disk, %s\n", term.Bytes(analysis.CompressedBytes), term.Bytes(analysis.UnpackedBytes), term.Count(len(analysis.Layers), "layer"))
	fmt.Fprintf(&text, "user   %s\n", term.Clean(user))
	packages := analysis.Packages
	if top > 0 {
		packages = packages[:min(top, len(packages))]
	}
	for _, table := range []string{
		term.Table(layerColumns(wide), analysis.Layers),
		term.Table(packageColumns(analysis.UnpackedBytes), packages),
		term.Table(fileColumns(analysis.UnpackedBytes), analysis.LargestFiles),
		term.Table(wasteColumns(analysis.UnpackedBytes, wide), analysis.Waste),
	} {
		if table != "" {
			text.WriteString("\n" + table)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// share is a part of the whole in per cent.
func share(bytes, all int64) string {
	if all == 0 {
		return "0%"
	}
	percent := 100 * float64(bytes) / float64(all)
	if percent < 1 {
		return "<1%"
	}
	return fmt.Sprintf("%.0f%%", percent)
}

func layerColumns(wide bool) []term.Column[inspect.Layer] {
	return []term.Column[inspect.Layer]{
		{Header: "LAYER", Cell: func(l inspect.Layer) string { return term.Digest(l.Digest, wide) }},
		{Header: "SIZE", Cell: func(l inspect.Layer) string { return term.Bytes(l.CompressedBytes) }},
		{Header: "ON DISK", Cell: func(l inspect.Layer) string { return term.Bytes(l.UnpackedBytes) }},
		{Header: "FILES", Cell: func(l inspect.Layer) string { return strconv.Itoa(l.Files) }},
		{Header: "LINE", Cell: func(l inspect.Layer) string {
			switch {
			case l.Base:
				return "base"
			case l.Line == 0:
				return "-"
			}
			return strconv.Itoa(l.Line)
		}},
		{Header: "CREATED BY", Cell: func(l inspect.Layer) string {
			runes := []rune(l.CreatedBy)
			if !wide && len(runes) > instructionWidth {
				return string(runes[:instructionWidth-1]) + "…"
			}
			return term.OrNone(l.CreatedBy)
		}},
	}
}

func packageColumns(all int64) []term.Column[inspect.Package] {
	return []term.Column[inspect.Package]{
		{Header: "PACKAGE", Cell: func(p inspect.Package) string { return p.Name }},
		{Header: "VERSION", Cell: func(p inspect.Package) string { return term.OrNone(p.Version) }},
		{Header: "OF", Cell: func(p inspect.Package) string { return p.Kind }},
		{Header: "ON DISK", Cell: func(p inspect.Package) string { return term.Bytes(p.Bytes) }},
		{Header: "SHARE", Cell: func(p inspect.Package) string { return share(p.Bytes, all) }},
	}
}

func fileColumns(all int64) []term.Column[inspect.LargeFile] {
	return []term.Column[inspect.LargeFile]{
		{Header: "FILE", Cell: func(f inspect.LargeFile) string { return f.Path }},
		{Header: "ON DISK", Cell: func(f inspect.LargeFile) string { return term.Bytes(f.Bytes) }},
		{Header: "SHARE", Cell: func(f inspect.LargeFile) string { return share(f.Bytes, all) }},
		{Header: "PACKAGE", Cell: func(f inspect.LargeFile) string { return term.OrNone(f.Package) }},
	}
}

func wasteColumns(all int64, wide bool) []term.Column[inspect.Waste] {
	return []term.Column[inspect.Waste]{
		{Header: "WASTE", Cell: func(w inspect.Waste) string { return w.Kind }},
		{Header: "ON DISK", Cell: func(w inspect.Waste) string { return term.Bytes(w.Bytes) }},
		{Header: "SHARE", Cell: func(w inspect.Waste) string { return share(w.Bytes, all) }},
		{Header: "FILES", Cell: func(w inspect.Waste) string { return strconv.Itoa(w.Files) }},
		{Header: "FOR EXAMPLE", Cell: func(w inspect.Waste) string {
			if wide {
				return strings.Join(w.Examples, ",")
			}
			return w.Examples[0]
		}},
	}
}
