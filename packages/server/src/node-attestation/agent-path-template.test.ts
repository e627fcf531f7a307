import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configuredAgentId, parseAgentPathTemplate } from './agent-path-template.js';

const trustDomain = parseTrustDomain('example.org');
const values = {
  PluginName: 'x509pop',
  Fingerprint: '0beec7b5',
  TrustDomain: 'example.org',
  Subject: { CommonName: 'Node 7.EXAMPLE.org', Organization: ['Acme', 'Rail'] },
  Tags: { 'rack id': 'r12', role: 'web', constructor: 'tag' },
  ValidPrincipals: ['host.example.org', 'other'],
  Nothing: '',
};

function render(text: string): string {
  return parseAgentPathTemplate(text).render(values);
}

describe('parseAgentPathTemplate renders', () => {
  it.each([
    ['/{{ .PluginName }}/{{ .Fingerprint }}', '/x509pop/0beec7b5'],
    ['/{{ .PluginName}}/{{.Fingerprint }}', '/x509pop/0beec7b5'],
    ['static/{{ index .ValidPrincipals 0 }}', 'static/host.example.org'],
    ['/cn/{{ .Subject.CommonName | lower | replace " " "-" }}', '/cn/node-7.example.org'],
    ['/{{ index .Tags "rack id" }}/{{ .Tags.role }}', '/r12/web'],
    ['/{{ index .Tags "constructor" }}', '/tag'],
    ['/{{ index .Tags "absent" | default "none" }}', '/none'],
    ['/{{ (index .ValidPrincipals 1) | upper }}', '/OTHER'],
    ['/{{- /* nothing */ -}}/a', '//a'],
    ['/a {{- " b" | trim -}} c', '/abc'],
    ['/{{ `raw` }}/{{ "quo\\"ted" | replace "\\"" "" }}', '/raw/quoted'],
    ['/{{ splitList "." .TrustDomain | first }}', '/example'],
    ['/{{ .ValidPrincipals | join "-" }}', '/host.example.org-other'],
    ['/{{ ternary "yes" "no" (hasPrefix "web" .Tags.role) }}', '/yes'],
    ['/{{ trimSuffix ".org" (trimPrefix "example" .TrustDomain) | default "x" }}', '/x'],
    ['/{{ substr 0 4 .Fingerprint }}/{{ trunc -4 .Fingerprint }}', '/0bee/c7b5'],
    ['/{{ coalesce .Nothing .Tags.role }}', '/web'],
    ['/{{ sha1sum "" }}', '/da39a3ee5e6b4b0d3255bfef95601890afd80709'],
    ['/{{ print .PluginName 7 true }}', '/x509pop7true'],
    ['/{{ clean "a/./b/" }}/{{ base "x/y" }}', '/a/b/y'],
    ['/no actions', '/no actions'],
  ])('%s as %s', (text, expected) => {
    expect(render(text)).toBe(expected);
  });

  it.each([
    ['/{{ .Absent }}', 'no .Absent'],
    ['/{{ .Tags.absent }}', 'no .Tags.absent'],
    ['/{{ .Tags.toString }}', 'no .Tags.toString'],
    ['/{{ .Subject.__proto__ }}', 'no .Subject.__proto__'],
    ['/{{ .PluginName.length }}', 'no .PluginName.length'],
    ['/{{ . }}', 'is not text'],
    ['/{{ .Subject.Organization }}', 'is not text'],
    ['/{{ index .ValidPrincipals 2 }}', 'no element 2'],
    ['/{{ index .ValidPrincipals -1 }}', 'no element -1'],
    ['/{{ index .ValidPrincipals "length" }}', 'is not a number'],
    ['/{{ lower .Tags }}', 'is not text'],
    ['/{{ trunc 3 "é" }}', 'is not ASCII'],
    [`/{{ replace "" .TrustDomain "${'x'.repeat(4000)}" }}`, 'is longer than'],
  ])('nothing for %s', (text, message) => {
    expect(() => render(text)).toThrow(message);
  });
});

describe('parseAgentPathTemplate refuses', () => {
  it.each([
    ['', 'is empty'],
    ['{{', 'not closed'],
    ['/{{ .A', 'not closed'],
    ['/{{ "a }}', 'in an action'],
    ['/{{ }}', 'without a value'],
    ['/{{ .A | }}', 'without a value'],
    ['/{{ .A | .B }}', 'not a function'],
    ['/{{ .A .B }}', 'not a function'],
    ['/{{ (.A }}', 'not closed'],
    ['/{{ .A) }}', 'too many'],
    ['/{{ lower upper .A }}', 'parentheses'],
    ['/{{ if .A }}x{{ end }}', 'parentheses|calls "if"'],
    ['/{{ range .A }}x{{ end }}', 'calls "range"'],
    ['/{{ $x := .A }}', 'in an action'],
    ['/{{ end }}', 'calls "end"'],
    ['/{{ env "HOME" }}', 'calls "env"'],
    ['/{{ regexReplaceAll "(a+)+$" .A "" }}', 'calls "regexReplaceAll"'],
    ['/{{ constructor .A }}', 'calls "constructor"'],
    ['/{{ lower }}', 'with 0 values; it takes 1'],
    ['/{{ .A | trunc }}', 'with 1 values; it takes 2'],
    ['/{{ "\\x41" }}', 'in an action'],
    ['/{{ lower"a" }}', 'without a space'],
    [`/{{ ${'('.repeat(40)}.A${')'.repeat(40)} }}`, 'in each other'],
    [`/${'a'.repeat(5000)}`, 'longer than'],
  ])('%s', (text, message) => {
    expect(() => parseAgentPathTemplate(text)).toThrow(new RegExp(`^agent path template.*(?:${message})`));
  });

  it('a field that the attestor does not have', () => {
    expect(() => parseAgentPathTemplate('/{{ .Hostnam }}', ['Hostname'])).toThrow(
      'template names .Hostnam; there are .Hostname',
    );
    expect(() => parseAgentPathTemplate('/{{ lower (.Hostnam) }}', ['Hostname'])).toThrow('.Hostnam');
    expect(parseAgentPathTemplate('/{{ .Hostname }}', ['Hostname']).render({ Hostname: 'a' })).toBe('/a');
  });

  it('any text in reasonable time, with no error but its own', () => {
    const piece = fc.constantFrom(
      '{{',
      '}}',
      '.A',
      ' ',
      '(',
      ')',
      '|',
      '"',
      '`',
      '-',
      'lower',
      '7',
      '/*',
      '*/',
      'a',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        try {
          parseAgentPathTemplate(pieces.join('')).render({ A: 'a' });
        } catch (error) {
          expect(error).toHaveProperty('reason', 'invalid_argument');
        }
      }),
    );
  });
});

describe('configuredAgentId', () => {
  it('puts the path below /spire/agent, with or without its leading slash', () => {
    const expected = 'spiffe://example.org/spire/agent/x509pop/abc';
    expect(configuredAgentId(trustDomain, '/x509pop/abc')).toBe(expected);
    expect(configuredAgentId(trustDomain, 'x509pop/abc')).toBe(expected);
  });

  it.each([
    ['climbs out of /spire/agent', '/x/../../server'],
    ['has a segment of one dot', '/x/./y'],
    ['has an empty segment', '/x//y'],
    ['ends with a slash', '/x/'],
    ['is a slash', '/'],
    ['is empty', ''],
    ['has two leading slashes', '//x'],
    ['has a space', '/a b'],
    ['has a control character', '/a\nb'],
    ['has a NUL', '/a\0'],
    ['is percent-encoded', '/a%2f..'],
    ['has a query', '/a?b'],
    ['has letters beyond ASCII', '/knöte'],
    ['has a backslash', '/a\\b'],
    ['is longer than an ID', `/${'a'.repeat(2048)}`],
  ])('refuses a path that %s', (_what, path) => {
    expect(() => configuredAgentId(trustDomain, path)).toThrow(/makes no agent ID of what this node proved/);
  });

  it('never leaves /spire/agent, whatever a node is called', () => {
    const template = parseAgentPathTemplate('/cn/{{ .Name }}');
    fc.assert(
      fc.property(fc.string(), (name) => {
        let id = 'spiffe://example.org/spire/agent/cn/x';
        try {
          id = configuredAgentId(trustDomain, template.render({ Name: name }));
        } catch (error) {
          expect(error).toHaveProperty('reason');
        }
        expect(new URL(id).pathname).toMatch(/^\/spire\/agent\/cn\/[^/]/);
      }),
    );
  });
});
