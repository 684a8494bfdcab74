package inspect

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/attestation"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/sbom"
)

// instructionWidth is the length at which a table truncates an instruction.
const instructionWidth = 60

// printAnalysis prints an analysis as tables, with at most top packages; 0 for all.
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
	fmt.Fprintf(&text, "size   %s compressed, %s on disk, %s\n", display.Bytes(analysis.CompressedBytes), display.Bytes(analysis.UnpackedBytes), display.Count(len(analysis.Layers), "layer"))
	fmt.Fprintf(&text, "user   %s\n", display.Sanitize(user))
	if len(analysis.Attached) > 0 {
		fmt.Fprintf(&text, "about  %s, not verified\n", display.Sanitize(strings.Join(attached(analysis.Attached), ", ")))
	}
	packages := analysis.Packages
	if top > 0 {
		packages = packages[:min(top, len(packages))]
	}
	for _, table := range []string{
		display.Table(layerColumns(wide), analysis.Layers),
		display.Table(packageColumns(analysis.UnpackedBytes), packages),
		display.Table(fileColumns(analysis.UnpackedBytes), analysis.LargestFiles),
		display.Table(wasteColumns(analysis.UnpackedBytes, wide), analysis.Waste),
	} {
		if table != "" {
			text.WriteString("\n" + table)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// attached returns what people call the types of what is kept about an image.
func attached(types []string) []string {
	names := map[string]string{
		sbom.MediaType: "SBOM", attestation.Signature: "signature", attestation.SBOM: "signed SBOM", attestation.Provenance: "provenance",
	}
	var all []string
	for _, kind := range types {
		all = append(all, cmp.Or(names[kind], kind))
	}
	return all
}

// share returns bytes as a percentage of all.
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

func layerColumns(wide bool) []display.Column[inspect.Layer] {
	return []display.Column[inspect.Layer]{
		{Header: "LAYER", Cell: func(l inspect.Layer) string { return display.Digest(l.Digest, wide) }},
		{Header: "SIZE", Cell: func(l inspect.Layer) string { return display.Bytes(l.CompressedBytes) }},
		{Header: "ON DISK", Cell: func(l inspect.Layer) string { return display.Bytes(l.UnpackedBytes) }},
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
			return display.OrNone(l.CreatedBy)
		}},
	}
}

func packageColumns(all int64) []display.Column[inspect.Package] {
	return []display.Column[inspect.Package]{
		{Header: "PACKAGE", Cell: func(p inspect.Package) string { return p.Name }},
		{Header: "VERSION", Cell: func(p inspect.Package) string { return display.OrNone(p.Version) }},
		{Header: "OF", Cell: func(p inspect.Package) string { return p.Kind }},
		{Header: "ON DISK", Cell: func(p inspect.Package) string { return display.Bytes(p.Bytes) }},
		{Header: "SHARE", Cell: func(p inspect.Package) string { return share(p.Bytes, all) }},
	}
}

func fileColumns(all int64) []display.Column[inspect.LargeFile] {
	return []display.Column[inspect.LargeFile]{
		{Header: "FILE", Cell: func(f inspect.LargeFile) string { return f.Path }},
		{Header: "ON DISK", Cell: func(f inspect.LargeFile) string { return display.Bytes(f.Bytes) }},
		{Header: "SHARE", Cell: func(f inspect.LargeFile) string { return share(f.Bytes, all) }},
		{Header: "PACKAGE", Cell: func(f inspect.LargeFile) string { return display.OrNone(f.Package) }},
	}
}

func wasteColumns(all int64, wide bool) []display.Column[inspect.Waste] {
	return []display.Column[inspect.Waste]{
		{Header: "WASTE", Cell: func(w inspect.Waste) string { return w.Kind }},
		{Header: "ON DISK", Cell: func(w inspect.Waste) string { return display.Bytes(w.Bytes) }},
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
