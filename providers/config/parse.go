package config

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// MaxFileSize bounds providers.hcl and every file it reads, in bytes.
const MaxFileSize = 1 << 20

// LookupEnv reads an environment variable, like [os.LookupEnv].
type LookupEnv func(name string) (value string, ok bool)

// Load reads and parses the file at path. Errors are [Diagnostics].
func Load(path string, env LookupEnv) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, Diagnostics{{Pos: Pos{File: path}, Message: "the path cannot be made absolute: " + err.Error()}}
	}
	src, err := readFile(abs)
	if err != nil {
		return nil, Diagnostics{{Pos: Pos{File: path}, Message: err.Error()}}
	}
	return Parse(abs, src, env)
}

// Parse parses src. The file name is used in diagnostics, and its directory
// for relative paths. Errors are [Diagnostics].
//
// The provider's own attributes are not checked here, because only its
// manifest knows them: see [Provider.CheckAttributes].
func Parse(filename string, src []byte, env LookupEnv) (*Config, error) {
	var ds Diagnostics
	if len(src) > MaxFileSize {
		return nil, Diagnostics{{Pos: Pos{File: filename}, Message: "the file is larger than 1 MiB"}}
	}
	// A NUL would be accepted inside of strings and cut short every path and
	// host name that is later given to the operating system.
	if bytes.IndexByte(src, 0) >= 0 {
		return nil, Diagnostics{{Pos: Pos{File: filename}, Message: "the file holds a NUL byte"}}
	}
	file, found := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	ds.addHCL(found)
	if len(ds) > 0 {
		return nil, ds
	}

	if ds = checkNumbers(filename, src); len(ds) > 0 {
		return nil, ds
	}

	p := &parser{dir: filepath.Dir(filename), env: env}
	body := file.Body.(*hclsyntax.Body)
	for _, attr := range sortedAttributes(body) {
		p.ds.add(attr.NameRange, "attribute %q is not expected here: the file holds provider blocks only", attr.Name)
	}
	c := &Config{}
	first := map[string]Pos{}
	for _, block := range body.Blocks {
		if block.Type != "provider" {
			p.ds.add(block.TypeRange, "block %q is not expected here: the file holds provider blocks only", block.Type)
			continue
		}
		provider, ok := p.provider(block)
		if !ok {
			continue
		}
		if pos, ok := first[provider.Instance]; ok {
			p.ds.add(block.DefRange(), "provider instance %q is already declared at %s; give one of them another name in its second label",
				provider.Instance, pos)
			continue
		}
		first[provider.Instance] = provider.Pos
		c.Providers = append(c.Providers, provider)
	}
	if err := p.ds.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// parser parses one file.
type parser struct {
	dir string
	env LookupEnv
	ds  Diagnostics
}

var (
	// nameRE is what provider types and instances may be called: it becomes
	// a label in logs, URLs and command lines.
	nameRE     = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	checksumRE = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

// provider parses one block. It reports false if the block has no usable
// labels; other problems are added to the diagnostics.
func (p *parser) provider(block *hclsyntax.Block) (Provider, bool) {
	def := block.DefRange()
	if len(block.Labels) < 1 || len(block.Labels) > 2 {
		p.ds.add(def, "a provider block has one or two labels, its type and the name of the instance: provider \"gitea\" \"forge\" { ... }")
		return Provider{}, false
	}
	out := Provider{Type: block.Labels[0], Instance: block.Labels[len(block.Labels)-1], Pos: pos(def), attributes: map[string]attribute{}}
	for i, label := range block.Labels {
		if !nameRE.MatchString(label) {
			p.ds.add(block.LabelRanges[i], "the name %q is not valid: lower-case letters, digits, dots, dashes and underscores, at most 64", label)
			return Provider{}, false
		}
	}

	v := newValues(p, &out.Secrets)
	for _, attr := range sortedAttributes(block.Body) {
		switch attr.Name {
		case "command":
			if command, ok := v.string(attr); ok {
				out.Command = p.path(command)
			}
		case "args":
			out.Args = v.strings(attr)
		case "sha256":
			out.SHA256 = p.checksum(attr, v)
		case "poll":
			out.Poll = p.poll(attr, v)
		default:
			if value, ok := v.eval(attr); ok {
				out.attributes[attr.Name] = attribute{pos: pos(attr.NameRange), value: value}
			}
		}
	}
	p.checkCommand(block, out)

	hosts := map[string]Pos{}
	for _, b := range block.Body.Blocks {
		if b.Type != "host" {
			p.ds.add(b.TypeRange, "block %q is not expected in provider %q: only host blocks are", b.Type, out.Instance)
			continue
		}
		policy, ok := p.host(b, v)
		if !ok {
			continue
		}
		if at, ok := hosts[policy.Host]; ok {
			p.ds.add(b.DefRange(), "host %q is already declared at %s", policy.Host, at)
			continue
		}
		hosts[policy.Host] = pos(b.DefRange())
		out.Hosts = append(out.Hosts, policy)
	}
	out.Attributes = p.encode(out.attributes)
	return out, true
}

// checkCommand checks the attributes that name an external binary against each
// other. The checksum is mandatory: it is what binds the operator's decision to
// trust a binary to the bytes that will be run.
func (p *parser) checkCommand(block *hclsyntax.Block, out Provider) {
	attrs := block.Body.Attributes
	command, sum, args := attrs["command"], attrs["sha256"], attrs["args"]
	switch {
	case command != nil && sum == nil:
		p.ds.add(command.NameRange, "provider %q names a command without its sha256; add the output of sha256sum for that file", out.Instance)
	case command == nil && sum != nil:
		p.ds.add(sum.NameRange, "provider %q has a sha256 without a command", out.Instance)
	case command == nil && args != nil:
		p.ds.add(args.NameRange, "provider %q has args without a command", out.Instance)
	}
}

func (p *parser) checksum(attr *hclsyntax.Attribute, v *values) []byte {
	text, ok := v.string(attr)
	if !ok {
		return nil
	}
	if !checksumRE.MatchString(text) {
		p.ds.add(attr.SrcRange, "sha256 is not a checksum: 64 hexadecimal digits are expected")
		return nil
	}
	sum, _ := hex.DecodeString(text) // checksumRE has just said that it can be
	return sum
}

// poll reads when upstreams are looked at unasked.
func (p *parser) poll(attr *hclsyntax.Attribute, v *values) string {
	text, ok := v.string(attr)
	if !ok || text == PollOff || text == PollAuto {
		return text
	}
	if every, err := time.ParseDuration(text); err != nil || every < MinPoll {
		p.ds.add(attr.SrcRange, "poll must be \"off\", \"auto\" or a duration of at least %s, like \"30s\" or \"10m\"", MinPoll)
		return ""
	}
	return text
}

// path makes a path absolute, relative to the directory of the file.
func (p *parser) path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.dir, path)
}

// readFile reads a file of at most MaxFileSize bytes. Its error names the path
// and the reason.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: os.ErrInvalid}
	}
	if info.Size() > MaxFileSize {
		return nil, &os.PathError{Op: "read", Path: path, Err: errTooLarge}
	}
	return os.ReadFile(path)
}
