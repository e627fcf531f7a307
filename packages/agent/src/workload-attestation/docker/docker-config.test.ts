import { describe, expect, it } from 'vitest';
import { docker } from './docker.js';

describe('the configuration of the docker attestor', () => {
  it("has SPIRE's defaults", () => {
    const config = docker.configSchema.parse({});
    expect(config).toMatchObject({
      docker_socket_path: '/var/run/docker.sock',
      podman_socket_path: '/run/podman/podman.sock',
      use_new_container_locator: true,
    });
    expect(config.podman_socket_path_template(1000)).toBe('/run/user/1000/podman/podman.sock');
  });

  it.each([
    [{ docker_socket_path: 'tcp://127.0.0.1:2375' }, 'no Unix socket'],
    [{ docker_socket_path: `unix:///${'x'.repeat(107)}` }, 'longer than 107'],
    [{ docker_version: 'latest' }, 'version of the Engine API'],
    [{ podman_socket_path_template: 'unix:///run/podman.sock' }, 'needs %d exactly once'],
    [{ podman_socket_path_template: 'unix:///run/%d/%s.sock' }, 'no other placeholder'],
    [{ podman_socket_path_template: 'unix:///run/%d/x%' }, 'no other placeholder'],
    [{ container_id_cgroup_matchers: ['/docker/<id>'] }, 'needs use_new_container_locator: false'],
    [{ use_new_container_locator: false, container_id_cgroup_matchers: ['/docker/'] }, 'exactly once'],
    [
      { use_new_container_locator: false, container_id_cgroup_matchers: ['/a/b/<id>', '/*/b/<id>'] },
      'ambiguous',
    ],
    [{ sigstore: {} }, 'sigstore is not supported'],
    [{ docker_host: 'npipe:////./pipe/docker_engine' }, 'docker_host'],
    [{ rootless_uids: [0] }, 'rootless_uids'],
  ])('refuses %j', (config, message) => {
    expect(() => docker.configSchema.parse(config)).toThrow(message);
  });
});
