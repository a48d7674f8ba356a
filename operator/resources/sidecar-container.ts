// The sidecar's container and the volumes that it brings into the pod. Its start-up probe is the start gate (I7): Kubernetes starts the
// user's containers once it succeeds, and never kills a sidecar that waits or is blocked. It satisfies the `restricted` Pod Security Standard.
import type { V1Container, V1EnvVar, V1Probe, V1ResourceRequirements, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { parseDurationMs } from '../../common/duration.ts';
import {
  configDirectory,
  configMapName,
  configVolume,
  dataDirectory,
  dataVolume,
  runDirectory,
  runVolume,
  sidecarContainer as sidecarName,
} from '../../common/names.ts';
import { ownVolumePrefix } from '../../common/schema.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { configItems } from './config-map.ts';
import type { Component } from './identity.ts';
import { processPortName } from './service.ts';
import type { Plain } from './user-template.ts';

/** From the operator's own configuration. */
export interface SidecarSettings {
  readonly sidecarImage: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly sidecarLogLevel: string;
  readonly sidecarResources: V1ResourceRequirements;
}

/** The whole state is in memory: no limit that would kill a member as the state grows, on every member at about the same time. */
export const defaultSidecarResources: V1ResourceRequirements = { requests: { cpu: '50m', memory: '128Mi' } };

/** User and group of the sidecar; the group owns the volumes. */
export const sidecarUserId = 65_532;

const tokenVolume = `${ownVolumePrefix}token`;
const tokenDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';
const tokenSeconds = 3600;
const credentialsVolume = `${ownVolumePrefix}nats-credentials`;
const credentialsDirectory = '/var/run/secrets/controlcluster/nats-credentials';
const authorityVolume = `${ownVolumePrefix}nats-ca`;
const authorityDirectory = '/var/run/secrets/controlcluster/nats-ca';
/** Read by owner and group. */
const secretMode = 0o440;
const runSizeLimit = '16Mi';
/** The largest number the field takes: at one attempt a second, longer than any machine lives. */
const unlimitedAttempts = 2_147_483_647;

export function sidecarContainer(cluster: ControlCluster, component: Component, settings: SidecarSettings): Plain<V1Container> {
  const probe = (path: string, timing: Omit<V1Probe, 'httpGet'>): V1Probe => ({
    httpGet: { path, port: processPortName, scheme: 'HTTP' },
    ...timing,
  });
  return {
    name: sidecarName,
    image: settings.sidecarImage,
    imagePullPolicy: settings.imagePullPolicy,
    ports: [{ name: processPortName, containerPort: cluster.spec.port, protocol: 'TCP' }],
    env: environment(cluster, component, settings),
    volumeMounts: mounts(cluster),
    resources: settings.sidecarResources,
    startupProbe: probe('/startupz', { periodSeconds: 1, timeoutSeconds: 2, failureThreshold: unlimitedAttempts }),
    readinessProbe: probe('/readyz', { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2 }),
    livenessProbe: probe('/livez', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }),
    // Runs at once when the pod is deleted; SIGTERM comes only after the user's containers have ended. Only a caller inside the pod may ask for it.
    lifecycle: { preStop: { exec: { command: ['node', '/app/sidecar/prestop.ts'] } } },
    securityContext: {
      runAsNonRoot: true,
      runAsUser: sidecarUserId,
      runAsGroup: sidecarUserId,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

function environment(cluster: ControlCluster, component: Component, settings: SidecarSettings): V1EnvVar[] {
  const { metadata, spec } = cluster;
  const { nats } = spec.replication;
  const fromPod = (name: string, fieldPath: string): V1EnvVar => ({ name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } });
  const values: Record<string, string | undefined> = {
    CC_CLUSTER: metadata.name,
    CC_KIND: component === 'member' ? 'member' : 'dr',
    CC_PORT: String(spec.port),
    CC_DURABILITY: spec.replication.durability,
    CC_DIVERGED_MEMBER: spec.startup.divergedMember,
    CC_NATS_URL: nats.url,
    CC_NATS_REPLICAS: String(nats.replicas),
    CC_NATS_CREDENTIALS_DIR: nats.credentialsSecret === undefined ? undefined : credentialsDirectory,
    CC_NATS_CA_FILE: nats.tlsSecret === undefined ? undefined : `${authorityDirectory}/ca.crt`,
    CC_LEASE_DURATION_MS: String(parseDurationMs(spec.election.leaseDuration)),
    CC_RENEW_DEADLINE_MS: String(parseDurationMs(spec.election.renewDeadline)),
    CC_RETRY_PERIOD_MS: String(parseDurationMs(spec.election.retryPeriod)),
    CC_ARCHIVE_SCHEDULE: spec.archive?.schedule,
    CC_ARCHIVE_KEEP: spec.archive === undefined ? undefined : String(spec.archive.keep),
    CC_LOG_LEVEL: settings.sidecarLogLevel,
    DELTA_CONFIG: configDirectory,
  };
  return [
    fromPod('CC_POD', 'metadata.name'),
    fromPod('CC_POD_UID', 'metadata.uid'),
    fromPod('CC_NAMESPACE', 'metadata.namespace'),
    ...Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }])),
  ];
}

function mounts(cluster: ControlCluster): V1VolumeMount[] {
  const { credentialsSecret, tlsSecret } = cluster.spec.replication.nats;
  return [
    { name: dataVolume, mountPath: dataDirectory },
    { name: configVolume, mountPath: configDirectory, readOnly: true },
    { name: runVolume, mountPath: runDirectory },
    { name: tokenVolume, mountPath: tokenDirectory, readOnly: true },
    ...(credentialsSecret === undefined ? [] : [{ name: credentialsVolume, mountPath: credentialsDirectory, readOnly: true }]),
    ...(tlsSecret === undefined ? [] : [{ name: authorityVolume, mountPath: authorityDirectory, readOnly: true }]),
  ];
}

/** All volumes that the sidecar needs but the one of its journal, which comes from the StatefulSet's claim template. */
export function sidecarVolumes(cluster: ControlCluster, component: Component): V1Volume[] {
  const { credentialsSecret, tlsSecret } = cluster.spec.replication.nats;
  const secret = (name: string, secretName: string | undefined): V1Volume[] =>
    secretName === undefined ? [] : [{ name, secret: { secretName, defaultMode: secretMode } }];
  return [
    { name: configVolume, configMap: { name: configMapName(cluster.metadata.name), items: configItems(component), defaultMode: 0o444 } },
    { name: runVolume, emptyDir: { medium: 'Memory', sizeLimit: runSizeLimit } },
    {
      name: tokenVolume,
      projected: {
        defaultMode: secretMode,
        sources: [
          { serviceAccountToken: { path: 'token', expirationSeconds: tokenSeconds } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
          { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
        ],
      },
    },
    ...secret(credentialsVolume, credentialsSecret),
    ...secret(authorityVolume, tlsSecret),
  ];
}
