package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/headwater-git/headwater/plugins/githubapp/setup"
	"github.com/headwater-git/headwater/providers"
)

// appFiles are the files that the secrets of a new App go to. They are made
// before GitHub is asked for anything: a key that cannot be written is lost.
type appFiles struct {
	key, secret *reservedFile
}

// reservedFile is a file that was made, empty, for the owner alone.
type reservedFile struct {
	path   string // absolute
	filled bool
}

// reserveAppFiles makes both files. It overwrites nothing.
func reserveAppFiles(key, secret string) (*appFiles, error) {
	k, err := reserveFile(key)
	if err != nil {
		return nil, err
	}
	s, err := reserveFile(secret)
	if err != nil {
		return nil, errors.Join(err, k.discard())
	}
	return &appFiles{key: k, secret: s}, nil
}

func reserveFile(path string) (*reservedFile, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, wrapf(err, "give the path of a file", "locate %s", path)
	}
	f, err := os.OpenFile(absolute, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, failf("move it away, or give another file with --key-file and --secret-file", "%s exists and is not overwritten", absolute)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, wrapf(err, "give a file in a folder that you can write to", "make %s", absolute)
	}
	return &reservedFile{path: absolute}, nil
}

// fill writes the file to disk.
func (r *reservedFile) fill(secret providers.Secret) error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(secret.Reveal())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		r.filled = true
	}
	return err
}

// discard removes a file that was not filled.
func (r *reservedFile) discard() error {
	if r.filled {
		return nil
	}
	return os.Remove(r.path)
}

// keep writes the secrets of an App.
func (a *appFiles) keep(app setup.App) error {
	err := a.key.fill(app.PrivateKey)
	if err == nil && app.WebhookSecret != "" {
		err = a.secret.fill(app.WebhookSecret + "\n")
	}
	if err != nil {
		return wrapf(err, "make a private key and set a webhook secret on the App's settings page, or delete the App and run it again",
			"the App is made and its secrets cannot be written")
	}
	return nil
}

// discard removes what was not filled.
func (a *appFiles) discard() error {
	return errors.Join(a.key.discard(), a.secret.discard())
}

// githubAppBlock returns the block of providers.hcl for an App. It refers to
// the secrets and does not hold them.
func githubAppBlock(instance string, app setup.App, policy providers.HostPolicy, files *appFiles) (string, error) {
	labels := []string{githubAppProvider}
	if instance != githubAppProvider {
		labels = append(labels, instance)
	}
	file := hclwrite.NewEmptyFile()
	block := file.Body().AppendNewBlock("provider", labels).Body()
	block.SetAttributeValue("app_id", cty.NumberIntVal(app.ID))
	block.SetAttributeValue("private_key_file", cty.StringVal(files.key.path))
	block.AppendNewline()
	host := block.AppendNewBlock("host", []string{policy.Host}).Body()
	if policy.Scheme != "https" {
		host.SetAttributeValue("scheme", cty.StringVal(policy.Scheme))
	}
	if policy.AllowPrivate {
		host.SetAttributeValue("allow_private", cty.True)
	}
	if policy.CAFile != "" {
		host.SetAttributeValue("ca_file", cty.StringVal(policy.CAFile))
	}
	if policy.APIURL != "" {
		host.SetAttributeValue("api_url", cty.StringVal(policy.APIURL))
	}
	if app.WebhookSecret != "" {
		path := hclwrite.TokensForValue(cty.StringVal(files.secret.path))
		host.SetAttributeRaw("webhook_secret", hclwrite.TokensForFunctionCall("file", path))
	}
	text := hclwrite.Format(file.Bytes())
	if _, problems := hclwrite.ParseConfig(text, "providers.hcl", hcl.InitialPos); problems.HasErrors() {
		return "", wrapf(problems, "write it by hand: docs/github-app.md has an example", "the block for providers.hcl cannot be made")
	}
	return string(text), nil
}
