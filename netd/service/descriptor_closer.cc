// SPDX-License-Identifier: Apache-2.0

#include "netd/service/descriptor_closer.h"

#include <pthread.h>
#include <signal.h>

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace netpolicy {
namespace {

constexpr int kMaxThreads = 16;

}  // namespace

struct DescriptorCloser::Shared {
  absl::Mutex mutex;
  std::deque<UniqueFd> waiting ABSL_GUARDED_BY(mutex);
  int threads ABSL_GUARDED_BY(mutex) = 0;
  int idle ABSL_GUARDED_BY(mutex) = 0;
  bool ended ABSL_GUARDED_BY(mutex) = false;

  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return !waiting.empty() || ended;
  }
};

DescriptorCloser::DescriptorCloser() : shared_(std::make_shared<Shared>()) {}

DescriptorCloser::~DescriptorCloser() {
  const absl::MutexLock lock(&shared_->mutex);
  shared_->ended = true;
}

void* DescriptorCloser::Work(void* argument) {
  const std::unique_ptr<std::shared_ptr<Shared>> owned(
      static_cast<std::shared_ptr<Shared>*>(argument));
  Shared& shared = **owned;
  while (true) {
    UniqueFd fd;
    {
      const absl::MutexLock lock(&shared.mutex);
      ++shared.idle;
      shared.mutex.Await(absl::Condition(&shared, &Shared::HasWork));
      --shared.idle;
      if (shared.waiting.empty()) return nullptr;
      fd = std::move(shared.waiting.front());
      shared.waiting.pop_front();
    }
  }
}

void DescriptorCloser::Close(UniqueFd fd) {
  if (!fd.ok()) return;
  const absl::MutexLock lock(&shared_->mutex);
  const int waiting = static_cast<int>(shared_->waiting.size());
  if (waiting >= shared_->idle && shared_->threads < kMaxThreads) {
    // Signals are for the thread that had them.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    auto shared = std::make_unique<std::shared_ptr<Shared>>(shared_);
    pthread_t thread;
    if (pthread_create(&thread, nullptr, &Work, shared.get()) == 0) {
      static_cast<void>(shared.release());
      pthread_detach(thread);
      ++shared_->threads;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (shared_->threads == 0) return;  // which closes it
  }
  shared_->waiting.push_back(std::move(fd));
}

}  // namespace netpolicy
