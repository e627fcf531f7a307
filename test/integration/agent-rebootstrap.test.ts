/** An agent whose server comes back under another root: SPIRE's rebootstrap_mode and rebootstrap_delay. */
import { readFile, writeFile } from 'node:fs/promises';
import type { AnsweredSvid } from '@bonafide/agent/cli/api/x509-answer';
import { formatBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { ekHash } from '@bonafide/shared/tpm/ek-hash';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import { publicKeyOf } from '@bonafide/shared/tpm/tpm-public';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const LIMIT = { limitMs: 150_000 };

async function bundleOf(server: InProcessServer): Promise<string> {
  const client = server.local('spire.api.server.bundle.v1.Bundle');
  return formatBundlePem(bundleFromProto(await callUnary(client, 'GetBundle', {})));
}

describe.skipIf(!swtpmIsInstalled())(
  'an agent with a software TPM (swtpm) whose server has a new root',
  () => {
    let swtpm: Swtpm;
    let agentId: string;
    let port: number;
    let common: TemporaryDirectory;

    beforeAll(async () => {
      swtpm = await launchSwtpm();
      await using device = await TpmDevice.open({ path: swtpm.path });
      const ek = await device.endorsementKey();
      agentId = `spiffe://example.org/spire/agent/tpm/${ekHash(publicKeyOf(ek.public))}`;
      common = createTemporaryDirectory();
      await writeFile(
        common.join('roots.pem'),
        swtpm.ekRoots.map((der) => encodePem('CERTIFICATE', der)).join(''),
      );
    });

    afterAll(async () => {
      await swtpm.stop();
      common.remove();
    });

    beforeEach(async () => {
      port = await findFreePort();
    });

    /** With an entry for this test's own processes. */
    async function startServer(directory: TemporaryDirectory, isNew = true): Promise<InProcessServer> {
      const tpm = { ek_roots: [common.join('roots.pem')], policy: { event_log: 'optional' } };
      const config = { server: { bind_port: port }, plugins: { NodeAttestor: { tpm } } };
      const server = await InProcessServer.start({ directory, config });
      if (isNew) await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
      return server;
    }

    function startAgent(server: InProcessServer, settings: Record<string, string>): Promise<InProcessAgent> {
      const tpm = { device: swtpm.path, event_log_path: common.join('none') };
      return InProcessAgent.start({
        server,
        withoutToken: true,
        config: { agent: settings, plugins: { NodeAttestor: { tpm } } },
      });
    }

    async function served(agent: InProcessAgent): Promise<AnsweredSvid | undefined> {
      return (await agent.fetch())[0];
    }

    const authorityKey = (svid: AnsweredSvid | undefined): string | undefined =>
      svid?.certificates.at(-1)?.authorityKeyId;

    it('goes back to its bootstrap source after the delay, and everything is under the new root', async () => {
      using oldData = createTemporaryDirectory();
      using newData = createTemporaryDirectory();
      const old = await startServer(oldData);
      await using agent = await startAgent(old, { rebootstrap_mode: 'auto', rebootstrap_delay: '1s' });
      await agent.fetched('the SVID');
      const before = await served(agent);
      await old[Symbol.asyncDispose]();
      await using server = await startServer(newData);
      await writeFile(agent.directory.join('bootstrap.pem'), await bundleOf(server));
      const after = await waitFor(
        'an SVID under the new root',
        async () => {
          const svid = await served(agent);
          return authorityKey(svid) !== authorityKey(before) && svid;
        },
        { ...LIMIT, explain: () => agent.logLines.map(({ msg }) => msg).join('\n') },
      );
      expect(after.bundle.map(({ der }) => der)).not.toEqual(before?.bundle.map(({ der }) => der));
      expect(agent.logged('bootstrapping anew')).toBe(1);
      await waitFor('the new bundle on disk', async () => {
        const kept = await readFile(`${agent.dataDirectory}/trust-bundle.json`, 'utf8');
        const [{ der } = { der: Buffer.alloc(0) }] = after.bundle;
        return kept.includes(der.toString('base64'));
      });
    });

    it('keeps what it has while the bootstrap source does not vouch for the stranger either', async () => {
      using oldData = createTemporaryDirectory();
      using newData = createTemporaryDirectory();
      const old = await startServer(oldData);
      await using agent = await startAgent(old, { rebootstrap_mode: 'auto', rebootstrap_delay: '1s' });
      await agent.fetched('the SVID');
      const before = await served(agent);
      await old[Symbol.asyncDispose]();
      const stranger = await startServer(newData);
      await waitFor(
        'it to say what is missing',
        () => agent.logged('does not vouch for the server either') > 0,
        LIMIT,
      );
      expect(authorityKey(await served(agent))).toBe(authorityKey(before));
      await stranger[Symbol.asyncDispose]();

      await using back = await startServer(oldData, false);
      await back.createEntry(agentId, '/more', { selectors: [OWN_SELECTOR] });
      await waitFor('the entry of its own server', async () => (await agent.fetch()).length === 2, LIMIT);
      expect(agent.logged('Agent stopped gracefully')).toBe(0);
    });

    it('does not, unless it is told to', async () => {
      using oldData = createTemporaryDirectory();
      using newData = createTemporaryDirectory();
      const old = await startServer(oldData);
      await using agent = await startAgent(old, { rebootstrap_delay: '1s' });
      await agent.fetched('the SVID');
      await old[Symbol.asyncDispose]();
      await using server = await startServer(newData);
      await writeFile(agent.directory.join('bootstrap.pem'), await bundleOf(server));
      await waitFor('some attempts', () => agent.logged('lost touch with the server') >= 4, LIMIT);
      expect(agent.logged('bootstrapping anew')).toBe(0);
      expect((await agent.fetch()).length).toBe(1);
    });

    it('cannot with a join token, and says so', async () => {
      using data = createTemporaryDirectory();
      await using server = await InProcessServer.start({ directory: data });
      await using agent = await InProcessAgent.start({
        server,
        config: { agent: { rebootstrap_mode: 'auto' } },
      });
      await waitFor('it to say so', () => agent.logged('rebootstrap_mode is auto, but') === 1);
      await waitFor('it to serve', () => agent.logged('Starting agent APIs') > 0);
    });
  },
);
