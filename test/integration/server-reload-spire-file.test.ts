import { writeFileSync } from 'node:fs';
import { findFreePort } from '@bonafide/testing/free-port';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { programPath } from '@bonafide/testing/program-path';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';

describe("a server with SPIRE's configuration file", { timeout: 180_000 }, () => {
  it('reads a plugin_data_file again with it, on SIGHUP, and keeps everything when that is broken', async () => {
    using directory = createTemporaryDirectory();
    const config = directory.join('server.conf');
    const data = directory.join('keys.conf');
    const write = (level: string): void => {
      writeFileSync(
        config,
        `server {
          trust_domain = "example.org"
          bind_address = "127.0.0.1"
          bind_port = ${port}
          socket_path = "${directory.join('private/api.sock')}"
          data_dir = "${directory.join('data')}"
          log_level = "${level}"
        }
        plugins {
          KeyManager "disk" { plugin_data_file = "${data}" }
        }`,
      );
    };
    const port = await findFreePort();
    write('INFO');
    writeFileSync(data, `keys_path = "${directory.join('keys.json')}"\n`);
    await using server = await LaunchedProcess.launch({
      name: 'server',
      command: process.execPath,
      args: [programPath('server'), 'run', '--config', config],
      isReady: ({ output }) => output.includes('Starting Server APIs'),
    });
    const reloaded = async (expected: string): Promise<void> => {
      process.kill(server.pid, 'SIGHUP');
      await waitFor(expected, () => server.output.includes(expected), { explain: () => server.output });
    };

    write('DEBUG');
    writeFileSync(data, 'keys_path = ["a"]\n');
    await reloaded('was not reloaded');
    expect(server.output).toMatch(/keys\.conf:1:\d+: .*keys_path: expected/);
    expect(server.output).not.toContain('level=debug');

    writeFileSync(data, `keys_path = "${directory.join('other-keys.json')}"\n`);
    await reloaded('configuration reloaded');
    expect(server.output).toMatch(/needs a restart: plugins\.KeyManager\.disk\.keys_path/);
  });
});
