import { createRequire } from 'node:module';

function load() {
  try {
    return createRequire(import.meta.url)('./build/Release/omni.node');
  } catch (cause) {
    throw new Error('cannot load native/build/Release/omni.node (build it: npm run build:native)', { cause });
  }
}

export const {
  monotonicNanoseconds,
  realtimeNanoseconds,
  openTun,
  closeFd,
  openSocketInNamespace,
  connectSocket,
  bindPacketSocket,
  enterNetworkNamespace,
  createReactor,
  setRealtimePriority,
  lockMemory,
  setCpuAffinity,
  setTimerSlack,
  parentDeathSignal,
  unacknowledgedOctets,
  resetOnClose,
  delayAcknowledgements,
} = load();

export const TRUNCATED = -1;
