/** The launchers start real programs, and a workload gets its identity from them. */
import { describe, expect, it } from 'vitest';
import { launchAgent } from './launch-agent.js';
import { launchServer } from './launch-server.js';
import { createTemporaryDirectory } from './temporary-directory.js';

describe('launchServer and launchAgent', () => {
  it('run a trust domain, stop it, kill it and start it again', async () => {
    using directory = createTemporaryDirectory();
    await using server = await launchServer({ directory: directory.path });
    await using agent = await launchAgent({ server, directory: directory.path });
    expect(await server.commandOutput('agent', 'list')).toContain(agent.spiffeId);
    const { code } = await agent.command(['healthcheck']);
    expect(code).toBe(0);

    await server.kill9();
    expect((await server.command('agent', 'list')).code).not.toBe(0);
    await server.process.start();
    expect(await server.commandOutput('agent', 'list')).toContain(agent.spiffeId);

    await agent.restart();
    expect(agent.process.isRunning).toBe(true);
    await agent.stop();
    expect(agent.process.exitCode).toBe(0);
  });

  it('say what a program printed that does not start', async () => {
    using directory = createTemporaryDirectory();
    const launched = launchServer({
      directory: directory.path,
      config: { server: { trust_domain: 'Not A Name' } },
    });
    await expect(launched).rejects.toThrow(/ended with code [1-9][\s\S]*trust_domain/);
  });
});
