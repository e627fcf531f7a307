import { writeFile } from 'node:fs/promises';
import { status } from '@grpc/grpc-js';
import { createRecordedHost, type RecordedHostOptions } from '@bonafide/testing/recorded-host';
import { startStubServices, StubStatus } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from '../program.js';

const SERVICE = 'spire.api.server.entry.v1.Entry';
const ok = { code: 0, message: 'OK' };

const web = {
  id: 'web-id',
  spiffeId: { trustDomain: 'example.org', path: '/web' },
  parentId: { trustDomain: 'example.org', path: '/node' },
  selectors: [
    { type: 'unix', value: 'uid:1000' },
    { type: 'unix', value: 'gid:1000' },
  ],
  x509SvidTtl: 60,
  jwtSvidTtl: 0,
  revisionNumber: 3,
};

const webText = `Entry ID                : web-id
SPIFFE ID               : spiffe://example.org/web
Parent ID               : spiffe://example.org/node
Revision                : 3
X509-SVID TTL           : 60
JWT-SVID TTL            : default
Selector                : unix:gid:1000
Selector                : unix:uid:1000

`;

const everything = {
  ...web,
  id: 'all',
  spiffeId: { trustDomain: 'example.org', path: '/all' },
  selectors: [{ type: 'unix', value: 'uid:1' }],
  downstream: true,
  jwtSvidTtl: 30,
  expiresAt: 1_552_410_266,
  federatesWith: ['other.example'],
  dnsNames: ['a.example.org', 'b.example.org'],
  admin: true,
  storeSvid: true,
  hint: 'internal',
  additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: true },
};

const everythingText = `Entry ID                : all
SPIFFE ID               : spiffe://example.org/all
Parent ID               : spiffe://example.org/node
Revision                : 3
Downstream              : true
X509-SVID TTL           : 60
JWT-SVID TTL            : 30
Expiration time         : 2019-03-12 17:04:26 +0000 UTC
Selector                : unix:uid:1
FederatesWith           : other.example
DNS name                : a.example.org
DNS name                : b.example.org
Admin                   : true
StoreSvid               : true
Hint                    : internal
DisableX509SvidPrefetch : true
JwtSvidIncludeJti       : true

`;

let directory: ReturnType<typeof createTemporaryDirectory>;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

type Answers = Parameters<typeof startStubServices>[1][typeof SERVICE];

/** Runs one command line against a server with these answers. */
async function run(answers: NonNullable<Answers>, argv: readonly string[], options?: RecordedHostOptions) {
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, { [SERVICE]: answers });
  const host = createRecordedHost({ ...options, environment: { BONAFIDE_SERVER_SOCKET: socketPath } });
  const code = await runServerProgram(argv, host);
  return { code, ...host.printed, calls: server.calls };
}

const echo = {
  BatchCreateEntry: ({ entries }: { entries: object[] }) => ({
    results: entries.map((entry) => ({ status: ok, entry: { ...entry, id: 'made' } })),
  }),
  BatchUpdateEntry: ({ entries }: { entries: object[] }) => ({
    results: entries.map((entry) => ({ status: ok, entry })),
  }),
};

describe('entry create', () => {
  it('sends the same request for either spelling of every flag', async () => {
    const spire = await run(
      echo,
      'entry create -spiffeID spiffe://example.org/web -parentID spiffe://example.org/node -selector unix:uid:1000 -selector unix:gid:1000 -entryID mine -x509SVIDTTL 60 -jwtSVIDTTL=30 -federatesWith spiffe://other.example -dns a.example.org -dns b.example.org -admin -downstream=true -storeSVID -entryExpiry 1552410266 -hint internal -disableX509SVIDPrefetch -jwtSVIDIncludeJTI=false'.split(
        ' ',
      ),
    );
    const gnu = await run(
      echo,
      'entry create --spiffe-id=spiffe://example.org/web --parent-id spiffe://example.org/node --selector unix:uid:1000 --selector unix:gid:1000 --entry-id mine --x509-svid-ttl 60 --jwt-svid-ttl 30 --federates-with other.example --dns a.example.org --dns b.example.org --admin --downstream --store-svid --entry-expiry 1552410266 --hint internal --disable-x509-svid-prefetch'.split(
        ' ',
      ),
    );
    expect(spire).toMatchObject({ code: 0, stderr: '' });
    expect(spire.calls).toHaveLength(1);
    expect(spire.calls[0]?.request).toMatchObject({
      entries: [
        {
          id: 'mine',
          spiffeId: { trustDomain: 'example.org', path: '/web' },
          parentId: { trustDomain: 'example.org', path: '/node' },
          selectors: [
            { type: 'unix', value: 'uid:1000' },
            { type: 'unix', value: 'gid:1000' },
          ],
          x509SvidTtl: 60,
          jwtSvidTtl: 30,
          federatesWith: ['other.example'],
          dnsNames: ['a.example.org', 'b.example.org'],
          admin: true,
          downstream: true,
          storeSvid: true,
          expiresAt: 1_552_410_266,
          hint: 'internal',
          additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: false },
        },
      ],
    });
    expect(gnu.calls).toEqual(spire.calls);
  });

  it('makes a node alias under the server', async () => {
    const { calls } = await run(
      echo,
      'entry create -node -spiffeID spiffe://example.org/rack -selector tpm:x:1'.split(' '),
    );
    expect(calls[0]?.request).toMatchObject({
      entries: [{ parentId: { trustDomain: 'example.org', path: '/spire/server' } }],
    });
  });

  it('prints what was created', async () => {
    const answers = { BatchCreateEntry: () => ({ results: [{ status: ok, entry: everything }] }) };
    const argv = 'entry create -spiffeID spiffe://a/b -parentID spiffe://a/c -selector a:b'.split(' ');
    expect(await run(answers, argv)).toMatchObject({ code: 0, stdout: everythingText, stderr: '' });
    const { stdout } = await run(answers, [...argv, '-output', 'json']);
    expect(JSON.parse(stdout)).toEqual({
      results: [
        {
          status: { code: 0, message: 'OK' },
          entry: {
            id: 'all',
            spiffe_id: { trust_domain: 'example.org', path: '/all' },
            parent_id: { trust_domain: 'example.org', path: '/node' },
            selectors: [{ type: 'unix', value: 'uid:1' }],
            x509_svid_ttl: 60,
            jwt_svid_ttl: 30,
            federates_with: ['other.example'],
            admin: true,
            downstream: true,
            expires_at: '1552410266',
            dns_names: ['a.example.org', 'b.example.org'],
            revision_number: '3',
            store_svid: true,
            hint: 'internal',
            created_at: '0',
            additional_attributes: { disable_x509_svid_prefetch: true, jwt_svid_include_jti: true },
          },
        },
      ],
    });
  });

  it('prints failures with the entry that was sent, and exits 1', async () => {
    const answers = {
      BatchCreateEntry: () => ({
        results: [{ status: { code: 6, message: 'similar entry "x" already exists' } }],
      }),
    };
    const argv =
      'entry create -spiffeID spiffe://example.org/web -parentID spiffe://example.org/node -selector unix:uid:1'.split(
        ' ',
      );
    const { code, stdout, stderr } = await run(answers, argv);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr)
      .toBe(`Failed to create the following entry (code: AlreadyExists, msg: "similar entry \\"x\\" already exists"):
Entry ID                : (none)
SPIFFE ID               : spiffe://example.org/web
Parent ID               : spiffe://example.org/node
Revision                : 0
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : unix:uid:1

Error: failed to create one or more entries
`);
    const json = await run(answers, [...argv, '-output', 'json']);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      results: [{ status: { code: 6 }, entry: { spiffe_id: { path: '/web' }, expires_at: '0' } }],
    });
  });

  it.each([
    ['-spiffeID spiffe://a/b -parentID spiffe://a/c', 'at least one selector is required'],
    ['-selector a:b -parentID spiffe://a/c', 'a SPIFFE ID is required'],
    ['-selector a:b -spiffeID spiffe://a/b', 'a parent ID is required'],
    ['-selector a:b -spiffeID spiffe://a/b -node -federatesWith c', 'node entries can not federate'],
    [
      '-selector a:b -spiffeID http://a/b',
      "option '--spiffe-id <id>' argument 'http://a/b' is invalid. SPIFFE ID must start with spiffe://",
    ],
    ['-selector a:b -spiffeID spiffe://a/b//c', 'SPIFFE ID path has an empty segment'],
    ['-selector ab', 'selector "ab" has no colon; expected type:value such as unix:uid:1000'],
    ['-x509SVIDTTL -1', 'expected a whole number from 0 to 2147483647'],
    ['-federatesWith Other', "trust domain has 'O' at position 0"],
    ['-selecter a:b', "unknown option '--selecter'\n(Did you mean --selector?)"],
    ['-data x.json -selector a:b', '--data takes the whole entry from a file; leave out --selector'],
    ['-data x.json -node', 'leave out --node'],
    ['-data missing.json', 'cannot read missing.json: ENOENT'],
  ])('refuses %s', async (flags, message) => {
    const { code, stdout, stderr, calls } = await run(echo, ['entry', 'create', ...flags.split(' ')]);
    expect({ code, stdout, calls }).toEqual({ code: 1, stdout: '', calls: [] });
    expect(stderr).toMatch(/^Error: /);
    expect(stderr).toContain(message);
  });
});

const fileEntries = {
  entries: [
    {
      spiffe_id: 'spiffe://example.org/a',
      parent_id: 'spiffe://example.org/node',
      selectors: [{ type: 'unix', value: 'uid:1' }],
    },
    {
      spiffe_id: 'spiffe://example.org/b',
      parent_id: 'spiffe://example.org/node',
      selectors: [{ type: 'unix', value: 'uid:2' }],
      x509_svid_ttl: 60,
      jwt_svid_ttl: 30,
      federates_with: ['spiffe://other.example'],
      entry_id: 'b-id',
      admin: true,
      downstream: true,
      entryExpiry: 1_552_410_266,
      dns_names: ['b.example.org'],
      store_svid: true,
      hint: 'internal',
      additional_attributes: { jwt_svid_include_jti: true },
    },
  ],
};

describe('entries from a file', () => {
  it('creates them all from JSON, YAML and standard input alike', async () => {
    const path = directory.join('entries.json');
    await writeFile(path, JSON.stringify(fileEntries));
    const fromFile = await run(echo, ['entry', 'create', '-data', path]);
    const fromInput = await run(echo, ['entry', 'create', '-data', '-'], {
      input: JSON.stringify(fileEntries),
    });
    expect(fromFile).toMatchObject({ code: 0, stderr: '' });
    expect(fromFile.calls[0]?.request).toMatchObject({
      entries: [
        { id: '', spiffeId: { path: '/a' }, x509SvidTtl: 0, additionalAttributes: null },
        {
          id: 'b-id',
          spiffeId: { path: '/b' },
          x509SvidTtl: 60,
          jwtSvidTtl: 30,
          federatesWith: ['other.example'],
          admin: true,
          downstream: true,
          expiresAt: 1_552_410_266,
          dnsNames: ['b.example.org'],
          storeSvid: true,
          hint: 'internal',
          additionalAttributes: { disableX509SvidPrefetch: false, jwtSvidIncludeJti: true },
        },
      ],
    });
    expect(fromInput.calls).toEqual(fromFile.calls);
    const yaml =
      'entries:\n  - spiffe_id: spiffe://example.org/a\n    parent_id: spiffe://example.org/node\n    selectors: [{ type: unix, value: "uid:1" }]\n';
    const fromYaml = await run(echo, ['entry', 'create', '--data', '-'], { input: yaml });
    expect(fromYaml.calls[0]?.request).toMatchObject({ entries: [{ spiffeId: { path: '/a' } }] });
  });

  it('names the entry and place of every mistake, and sends nothing', async () => {
    const text = `{"entries": [
  {"spiffe_id": "spiffe://example.org/a", "parent_id": "spiffe://example.org/n", "selectors": [{"type": "unix", "value": "uid:1"}]},
  {"spiffe_id": "nothing", "parent_id": "spiffe://example.org/n", "selectors": [{"type": "un:ix", "value": "1"}], "x509_ttl": 5},
  {"spiffe_id": "spiffe://example.org/c", "selectors": []}
]}`;
    const path = directory.join('entries.json');
    await writeFile(path, text);
    const { code, stderr, calls } = await run(echo, ['entry', 'create', '-data', path]);
    expect({ code, calls }).toEqual({ code: 1, calls: [] });
    expect(stderr.split('\n')).toEqual([
      `Error: ${path} has 5 problems`,
      `  ${path}:3:17: entries.1.spiffe_id: SPIFFE ID must start with spiffe://`,
      `  ${path}:3:81: entries.1.selectors.0: selector type "un:ix" has a colon`,
      `  ${path}:3:115: entries.1.x509_ttl: unknown key; did you mean x509_svid_ttl?`,
      `  ${path}:4:3: entries.2.parent_id: is missing; expected text`,
      `  ${path}:4:56: entries.2.selectors: expected at least 1 item, found 0`,
      '',
    ]);
  });

  it('sends thousands in batches and reports those that failed', async () => {
    const entries = Array.from({ length: 1200 }, (_, index) => ({
      spiffe_id: `spiffe://example.org/${index}`,
      parent_id: 'spiffe://example.org/node',
      selectors: [{ type: 'unix', value: `uid:${index}` }],
    }));
    const answers = {
      BatchCreateEntry: ({ entries: batch }: { entries: { spiffeId: { path: string } }[] }) => ({
        results: batch.map((entry) =>
          entry.spiffeId.path === '/777' ? { status: { code: 3, message: 'no' } } : { status: ok, entry },
        ),
      }),
    };
    const { code, stdout, stderr, calls } = await run(answers, ['entry', 'create', '-data', '-'], {
      input: JSON.stringify({ entries }),
    });
    expect(code).toBe(1);
    expect(calls.map(({ request }) => (request as { entries: object[] }).entries.length)).toEqual([
      500, 500, 200,
    ]);
    expect(stdout.match(/^Entry ID/gm)).toHaveLength(1199);
    expect(stderr).toContain('(code: InvalidArgument, msg: "no")');
    expect(stderr).toContain('spiffe://example.org/777\n');
  });
});

describe('entry update', () => {
  const argv =
    'entry update -entryID web-id -spiffeID spiffe://example.org/web -parentID spiffe://example.org/node -selector unix:uid:1'.split(
      ' ',
    );

  it('replaces the entry', async () => {
    const { code, stdout, calls } = await run(echo, argv);
    expect(code).toBe(0);
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({
      method: 'BatchUpdateEntry',
      request: { entries: [{ id: 'web-id', additionalAttributes: null }] },
    });
    expect(stdout).toContain('Entry ID                : web-id\n');
  });

  it('keeps the attributes that no flag names', async () => {
    const answers = { ...echo, GetEntry: () => everything };
    const { calls } = await run(answers, [...argv, '--disable-x509-svid-prefetch=false']);
    expect(calls.map(({ method }) => method)).toEqual(['GetEntry', 'BatchUpdateEntry']);
    expect(calls[1]?.request).toMatchObject({
      entries: [{ additionalAttributes: { disableX509SvidPrefetch: false, jwtSvidIncludeJti: true } }],
    });
  });

  it('reports failures', async () => {
    const answers = {
      BatchUpdateEntry: () => ({ results: [{ status: { code: 5, message: 'entry not found' } }] }),
    };
    const { code, stderr } = await run(answers, argv);
    expect(code).toBe(1);
    expect(stderr).toContain(
      'Failed to update the following entry (code: NotFound, msg: "entry not found"):\nEntry ID                : web-id\n',
    );
    expect(stderr).toContain('Error: failed to update one or more entries\n');
  });

  it('needs the ID of the entry', async () => {
    expect((await run(echo, ['entry', 'update', '-selector', 'a:b'])).stderr).toContain(
      'Error: entry ID is required; add --entry-id',
    );
  });
});

describe('entry delete', () => {
  const answers = {
    BatchDeleteEntry: ({ ids }: { ids: string[] }) => ({
      results: ids.map((id) => ({
        id,
        status: id.startsWith('no') ? { code: 5, message: 'entry not found' } : ok,
      })),
    }),
  };

  it('deletes one', async () => {
    const { code, stdout, stderr, calls } = await run(answers, ['entry', 'delete', '-entryID', 'one']);
    expect(calls[0]?.request).toEqual({ ids: ['one'] });
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'Deleted entry with ID: one\n\n\nDeleted 1 entries successfully\n',
      stderr: '',
    });
    const json = await run(answers, ['entry', 'delete', '-entryID', 'one', '-output', 'json']);
    expect(json.stdout).toBe('{"results":[{"id":"one","status":{"code":0,"message":"OK"}}]}\n');
  });

  it('deletes many from a file and lists those that failed', async () => {
    const { code, stdout, stderr } = await run(answers, ['entry', 'delete', '-file', '-'], {
      input: '{"ids": ["one", "no-1", "two"]}',
    });
    expect(code).toBe(1);
    expect(stdout).toBe(
      'Deleted entry with ID: one\nDeleted entry with ID: two\n\n\n\n\nDeleted 2 entries successfully, but failed to delete 1 entries\n',
    );
    expect(stderr).toBe(
      'Failed to delete entry with ID no-1 (code: NotFound, msg: "entry not found")\nError: failed to delete one or more entries\n',
    );
    const none = await run(answers, ['entry', 'delete', '-entryID', 'no-1']);
    expect(none.stdout).toContain('Failed to delete 1 entries\n');
  });

  it.each([
    [[], undefined, 'an entry ID is required; add --entry-id or --file'],
    [['-file', '-', '-entryID', 'x'], undefined, 'leave out --entry-id'],
    [['-file', '-'], '{"idz": []}', 'standard input:1:2: idz: unknown key; did you mean ids?'],
    [['-file', '-'], '{"ids": [7]}', 'standard input:1:10: ids.0: expected text, found 7'],
  ])('refuses %j with input %j', async (flags, input, message) => {
    const { code, stderr } = await run(
      answers,
      ['entry', 'delete', ...flags],
      input === undefined ? {} : { input },
    );
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});

describe('entry show', () => {
  it('walks all pages and sorts', async () => {
    const answers = {
      ListEntries: ({ pageToken }: { pageToken: string }) =>
        pageToken === '' ? { entries: [web], nextPageToken: 'more' } : { entries: [everything] },
    };
    const { code, stdout, calls } = await run(answers, ['entry', 'show']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `Found 2 entries\n${everythingText}${webText}` });
    expect(calls.map(({ request }) => request)).toMatchObject([
      {
        pageSize: 500,
        pageToken: '',
        filter: { byDownstream: { value: false }, bySpiffeId: null, bySelectors: null },
      },
      { pageSize: 500, pageToken: 'more' },
    ]);
  });

  it('prints one, none and JSON as SPIRE does', async () => {
    expect((await run({ ListEntries: () => ({ entries: [web] }) }, ['entry', 'show'])).stdout).toBe(
      `Found 1 entry\n${webText}`,
    );
    expect((await run({ ListEntries: () => ({}) }, ['entry', 'show'])).stdout).toBe('Found 0 entries\n');
    expect((await run({ ListEntries: () => ({}) }, ['entry', 'show', '-output', 'json'])).stdout).toBe(
      '{"entries":[],"next_page_token":""}\n',
    );
  });

  it('sends every condition', async () => {
    const flags =
      '-spiffeID spiffe://a/b -parentID spiffe://a/c -selector unix:uid:1 -selector unix:gid:1 -matchSelectorsOn any -federatesWith spiffe://other -matchFederatesWithOn subset -downstream -hint h';
    const filter = {
      bySpiffeId: { trustDomain: 'a', path: '/b' },
      byParentId: { trustDomain: 'a', path: '/c' },
      bySelectors: {
        selectors: [
          { type: 'unix', value: 'uid:1' },
          { type: 'unix', value: 'gid:1' },
        ],
        match: 'MATCH_ANY',
      },
      byFederatesWith: { trustDomains: ['other'], match: 'MATCH_SUBSET' },
      byDownstream: { value: true },
      byHint: { value: 'h' },
    };
    const show = await run({ ListEntries: () => ({}) }, ['entry', 'show', ...flags.split(' ')]);
    expect(show.calls[0]?.request).toMatchObject({ filter });
    const count = await run({ CountEntries: () => ({ count: 2 }) }, ['entry', 'count', ...flags.split(' ')]);
    expect(count.calls[0]?.request).toMatchObject({ filter });
    expect(count.stdout).toBe('2 registration entries\n');
  });

  it('looks one up by its ID', async () => {
    const { stdout, calls } = await run({ GetEntry: () => web }, ['entry', 'show', '-entryID', 'web-id']);
    expect(stdout).toBe(`Found 1 entry\n${webText}`);
    expect(calls[0]).toMatchObject({ method: 'GetEntry', request: { id: 'web-id' } });
    const refused = await run({}, ['entry', 'show', '-entryID', 'x', '-spiffeID', 'spiffe://a/b']);
    expect(refused.stderr).toBe('Error: --entry-id names one entry; leave out the other conditions\n');
  });

  it('passes on what the server says', async () => {
    const answers = {
      GetEntry: () => {
        throw new StubStatus(status.NOT_FOUND, 'entry not found');
      },
    };
    expect(await run(answers, ['entry', 'show', '-entryID', 'x'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Error: entry not found\n',
    });
  });

  it.each([
    ['-matchSelectorsOn', 'some'],
    ['-matchFederatesWithOn', 'some'],
  ])('refuses %s %s', async (...flags) => {
    const { code, stderr } = await run({}, ['entry', 'show', ...flags]);
    expect(code).toBe(1);
    expect(stderr).toContain('expected one of exact, any, superset, subset');
  });

  it('stops when the server repeats a page', async () => {
    const { code, stderr } = await run({ ListEntries: () => ({ entries: [web], nextPageToken: 'again' }) }, [
      'entry',
      'show',
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'Error: the server gave the same page twice\n' });
  });
});

describe('entry count', () => {
  it('counts', async () => {
    expect((await run({ CountEntries: () => ({ count: 1 }) }, ['entry', 'count'])).stdout).toBe(
      '1 registration entry\n',
    );
    expect(
      (await run({ CountEntries: () => ({ count: 0 }) }, ['entry', 'count', '-output', 'json'])).stdout,
    ).toBe('{"count":0}\n');
  });
});
