package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// hidden stands for a value that may be a secret.
const hidden = "hidden"

// Image is the model of one image.
type Image struct {
	RegistryImage
	// Listed reports that the registry's list has been read: the run, the tags and the users
	// are not known before.
	Listed bool
	// AppPath is the view of all images of the app, Reference the image as nodes pull it.
	AppPath, Reference string
	Config             []ConfigFact
	Env, Labels        []Pair
	Layers             []ImageLayer
	// Platforms are the images of an index; empty for an image.
	Platforms []RegistryImage
	// Analysis is what it is made of; nil if it is not analyzed.
	Analysis *ImageContent
	Analyze  *Action
	Actions  []Action
	// Compare is the view that compares it with another one.
	Compare string
	// Missing says that the registry no longer lists it.
	Missing string
	Notes   []string
}

// ConfigFact is one setting of an image.
type ConfigFact struct{ Name, Value string }

// Pair is a name with a value. Hidden reports that the value may be a secret and is left out.
type Pair struct {
	Name, Value string
	Hidden      bool
	real        string
}

// ImageLayer is one layer, with the instruction that made it.
type ImageLayer struct {
	inspect.Layer
	// Text is the instruction without secrets.
	Text string
	// Width is its size in percent of the largest one.
	Width float64
}

// ImageContent is the result of an analysis.
type ImageContent struct {
	UnpackedBytes int64
	Packages      []Share
	Files         []Share
	Waste         []Share
	// Wasted is the sum of Waste.
	Wasted int64
}

// Share is a part of an image. Width is its size in percent of the largest of its list.
type Share struct {
	Name, Detail string
	Bytes        int64
	Files        int
	Width        float64
}

// NewConfig returns the settings of an image, without secrets.
func NewConfig(config *inspect.Config) (facts []ConfigFact, env, labels []Pair) {
	user := config.Config.User
	switch {
	case user == "":
		user = "root (no USER)"
	case config.IsRoot() && !strings.HasPrefix(user, "root"):
		user += " (root)"
	}
	ports := slices.Sorted(maps.Keys(config.Config.ExposedPorts))
	for _, fact := range []ConfigFact{
		{"User", user},
		{"Entrypoint", command(config.Config.Entrypoint)},
		{"Command", command(config.Config.Cmd)},
		{"Working directory", config.Config.WorkingDir},
		{"Ports", strings.Join(ports, ", ")},
		{"Stop signal", config.Config.StopSignal},
	} {
		if fact.Value != "" {
			fact.Value = secret.MaskLine(fact.Value)
			facts = append(facts, fact)
		}
	}
	for _, variable := range config.Config.Env {
		name, value, _ := strings.Cut(variable, "=")
		env = append(env, pair(name, value))
	}
	for _, name := range slices.Sorted(maps.Keys(config.Config.Labels)) {
		labels = append(labels, pair(name, config.Config.Labels[name]))
	}
	return facts, env, labels
}

// command returns an argv as it would be typed.
func command(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return display.QuoteCommand(argv...)
}

// pair hides a value that may be a secret: by its name, or by what it looks like.
func pair(name, value string) Pair {
	line := name + "=" + strconv.Quote(value)
	if secret.MaskLine(line) != line {
		return Pair{Name: name, Value: hidden, Hidden: true, real: value}
	}
	return Pair{Name: name, Value: value, real: value}
}

// NewLayers returns the layers of an image, the lowest first, with the sizes of an analysis,
// which may be nil.
func NewLayers(layers []inspect.Layer, analysis *inspect.Analysis) []ImageLayer {
	var largest int64
	rows := make([]ImageLayer, len(layers))
	for i, layer := range layers {
		if analysis != nil && len(analysis.Layers) == len(layers) && analysis.Layers[i].Digest == layer.Digest {
			layer.UnpackedBytes, layer.Files = analysis.Layers[i].UnpackedBytes, analysis.Layers[i].Files
		}
		rows[i] = ImageLayer{Layer: layer, Text: secret.MaskLine(layer.CreatedBy)}
		largest = max(largest, layer.CompressedBytes)
	}
	for i := range rows {
		rows[i].Width = share(rows[i].CompressedBytes, largest)
	}
	return rows
}

// maxShares bounds the rows of packages and files, shownShares those that are shown at first.
const (
	maxShares   = 200
	shownShares = 12
)

// NewImageContent returns what an analysis says; nil for nil.
func NewImageContent(analysis *inspect.Analysis) *ImageContent {
	if analysis == nil {
		return nil
	}
	content := &ImageContent{UnpackedBytes: analysis.UnpackedBytes}
	for _, p := range analysis.Packages {
		content.Packages = append(content.Packages, Share{Name: p.Name, Detail: strings.TrimSpace(p.Version + " " + p.Kind), Bytes: p.Bytes})
	}
	for _, file := range analysis.LargestFiles {
		content.Files = append(content.Files, Share{Name: file.Path, Detail: file.Package, Bytes: file.Bytes})
	}
	for _, waste := range analysis.Waste {
		content.Waste = append(content.Waste, Share{Name: wasteName(waste.Kind), Detail: strings.Join(waste.Examples, ", "), Bytes: waste.Bytes, Files: waste.Files})
		content.Wasted += waste.Bytes
	}
	for _, list := range []*[]Share{&content.Packages, &content.Files, &content.Waste} {
		*list = (*list)[:min(len(*list), maxShares)]
		for i := range *list {
			(*list)[i].Width = share((*list)[i].Bytes, (*list)[0].Bytes)
		}
	}
	return content
}

// wasteName returns what a kind of waste is, in a few words.
func wasteName(kind string) string {
	names := map[string]string{
		"overwritten": "Files that a later layer replaces", "deleted": "Files that a later layer deletes",
		"cache": "Download caches", "apt-lists": "Package lists of apt", "tests": "Tests of packages", "bytecode": "Bytecode that is never read",
	}
	return cmp.Or(names[kind], kind)
}

// Comparison is the model of two images side by side.
type Comparison struct {
	// A and B are nil if they are not chosen, or cannot be read.
	A, B *Side
	// ChosenA and ChosenB are the choices, as NAMESPACE/APP@DIGEST. Choices are the images to
	// choose from.
	ChosenA, ChosenB string
	Choices          []Choice
	Problems         []Problem
	// The fields below are set if there are both.
	Shared        []ImageLayer
	OnlyA, OnlyB  []ImageLayer
	SharedBytes   int64
	ABytes        int64
	BBytes        int64
	Settings      []Difference
	Packages      []Difference
	SamePackages  int
	PackagesKnown bool
	Reading       string
}

// Side is one of two images.
type Side struct {
	Image
	// Full is the whole analysis; nil if it is not analyzed.
	Full *inspect.Analysis
}

// Choice is an image to choose.
type Choice struct{ Value, Label string }

// Difference is a value of both images. An empty one is missing.
type Difference struct {
	Name, A, B string
	// Change is added, removed, changed or same.
	Change string
}

// Compare fills in what A and B have in common and what not. It is pure.
func (c *Comparison) Compare() {
	if c.A == nil || c.B == nil {
		return
	}
	count := map[string]int{}
	for _, layer := range c.B.Layers {
		count[layer.Digest]++
	}
	seen := map[string]bool{}
	inA := map[string]int{}
	for _, layer := range c.A.Layers {
		inA[layer.Digest]++
		if count[layer.Digest] >= inA[layer.Digest] {
			c.Shared = append(c.Shared, layer)
			if !seen[layer.Digest] {
				c.SharedBytes += layer.CompressedBytes
			}
		} else {
			c.OnlyA = append(c.OnlyA, layer)
			if !seen[layer.Digest] {
				c.ABytes += layer.CompressedBytes
			}
		}
		seen[layer.Digest] = true
	}
	inB := map[string]int{}
	for _, layer := range c.B.Layers {
		if inB[layer.Digest]++; inA[layer.Digest] < inB[layer.Digest] {
			c.OnlyB = append(c.OnlyB, layer)
			if !seen[layer.Digest] {
				c.BBytes += layer.CompressedBytes
			}
			seen[layer.Digest] = true
		}
	}
	isSame := func(d Difference) bool { return d.Change == "same" }
	c.Settings = slices.DeleteFunc(differences(settings(&c.A.Image), settings(&c.B.Image)), isSame)
	if c.A.Full != nil && c.B.Full != nil {
		c.PackagesKnown = true
		all := differences(packages(c.A.Full), packages(c.B.Full))
		c.Packages = slices.DeleteFunc(slices.Clone(all), isSame)
		c.SamePackages = len(all) - len(c.Packages)
	}
}

// Growth returns how much larger B is than A, with a sign.
func (c *Comparison) Growth() string {
	if c.A == nil || c.B == nil {
		return ""
	}
	switch delta := c.B.Bytes - c.A.Bytes; {
	case delta > 0:
		return "+" + display.Bytes(delta)
	case delta < 0:
		return "−" + display.Bytes(-delta)
	}
	return "the same size"
}

// value is a value as it is shown, and as it is.
type value struct{ shown, real string }

// settings are what two images may differ in beside their files.
func settings(image *Image) map[string]value {
	all := map[string]value{}
	if image.Platform != "" {
		all["Platform"] = value{image.Platform, image.Platform}
	}
	for _, fact := range image.Config {
		all[fact.Name] = value{fact.Value, fact.Value}
	}
	for kind, pairs := range map[string][]Pair{"Variable ": image.Env, "Label ": image.Labels} {
		for _, pair := range pairs {
			all[kind+pair.Name] = value{cmp.Or(pair.Value, `""`), pair.real}
		}
	}
	return all
}

// packages are the versions of an image's packages.
func packages(analysis *inspect.Analysis) map[string]value {
	all := map[string]value{}
	for _, p := range analysis.Packages {
		name := p.Name + " (" + p.Kind + ")"
		text := fmt.Sprintf("%s, %s", cmp.Or(p.Version, "no version"), display.Bytes(p.Bytes))
		if before, ok := all[name]; ok {
			text = before.shown + "; " + text
		}
		all[name] = value{text, text}
	}
	return all
}

// differences compares two sets of values, by name.
func differences(a, b map[string]value) []Difference {
	names := maps.Clone(a)
	maps.Copy(names, b)
	var all []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		ofA, inA := a[name]
		ofB, inB := b[name]
		d := Difference{Name: name, A: ofA.shown, B: ofB.shown, Change: "changed"}
		switch {
		case !inA:
			d.Change = "added"
		case !inB:
			d.Change = "removed"
		case ofA.real == ofB.real:
			d.Change = "same"
		}
		all = append(all, d)
	}
	return all
}
