// Connected accessory clustering: from similarities of pairs to groups. Small clusters never join two groups.
//
// N clusters, G groups. Groups are counted from 0 by the lowest cluster of each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

using Labels = std::vector<int64_t>;

struct GroupingSettings {
  float threshold = 0.5F;       // a pair is joined above it, strictly
  double beta = 1.0;            // the groups are grouped again at beta times the threshold; from 1 on they are not
  int64_t accessory_max_hits = 2;
};

inline int64_t num_groups(const Labels& labels) {
  return labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end()) + 1;
}

// Counts the groups by their lowest member.
inline Labels numbered(const Labels& labels) {
  Labels number(labels.size(), -1), result;
  int64_t count = 0;
  for (const int64_t label : labels) {
    if (number[label] < 0) number[label] = count++;
    result.push_back(number[label]);
  }
  return result;
}

// Gives the connected components among `members` labels from `count` on.
inline void join_connected(const float* similarity, int64_t size, float threshold, const Labels& members,
                           Labels& labels, int64_t& count) {
  Labels rest = members, queue;
  while (!rest.empty()) {
    queue.assign(1, rest.front());
    rest.erase(rest.begin());
    for (std::size_t done = 0; done < queue.size(); ++done) {
      const float* row = similarity + queue[done] * size;
      labels[queue[done]] = count;
      const auto apart = [&](int64_t other) { return !(row[other] > threshold); };
      const auto joined = std::stable_partition(rest.begin(), rest.end(), apart);
      queue.insert(queue.end(), joined, rest.end());
      rest.erase(joined, rest.end());
    }
    ++count;
  }
}

inline Labels connected_accessory(const float* similarity, const std::vector<int64_t>& num_hits, float threshold,
                                  int64_t accessory_max_hits) {
  const auto size = static_cast<int64_t>(num_hits.size());
  Labels core, free, labels(num_hits.size(), -1);
  for (int64_t row = 0; row < size; ++row) (num_hits[row] > accessory_max_hits ? core : free).push_back(row);
  int64_t count = 0;
  join_connected(similarity, size, threshold, core, labels, count);
  for (bool joined = true; joined;) {  // all accessories of a round join at once
    Labels left, choice;
    for (const int64_t row : free) {
      float best = threshold;
      int64_t group = -1;
      for (int64_t other = 0; other < size; ++other) {
        const float value = similarity[row * size + other];
        if (labels[other] < 0) continue;
        if (value > best || (value == best && group >= 0 && labels[other] < group)) {
          best = value;
          group = labels[other];
        }
      }
      choice.push_back(group);
    }
    joined = false;
    for (std::size_t i = 0; i < free.size(); ++i) {
      if (choice[i] < 0) {
        left.push_back(free[i]);
      } else {
        labels[free[i]] = choice[i];
        joined = true;
      }
    }
    free = left;
  }
  join_connected(similarity, size, threshold, free, labels, count);
  return numbered(labels);
}

// Two groups are as similar as the least similar pair of their members.
inline std::vector<float> least_between(const float* similarity, const Labels& labels, int64_t groups) {
  std::vector<float> least(groups * groups, std::numeric_limits<float>::infinity());
  const auto size = static_cast<int64_t>(labels.size());
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < size; ++j) {
      float& value = least[labels[i] * groups + labels[j]];
      value = std::min(value, similarity[i * size + j]);
    }
  }
  return least;
}

inline Labels group_clusters(const float* similarity, const std::vector<int64_t>& num_hits,
                             const GroupingSettings& settings) {
  const Labels first = connected_accessory(similarity, num_hits, settings.threshold, settings.accessory_max_hits);
  if (settings.beta >= 1.0 || first.empty()) return first;
  const int64_t groups = num_groups(first);
  std::vector<int64_t> total(groups, 0);
  for (std::size_t row = 0; row < first.size(); ++row) total[first[row]] += num_hits[row];
  const std::vector<float> least = least_between(similarity, first, groups);
  const auto second_threshold = static_cast<float>(settings.threshold * settings.beta);
  const Labels second = connected_accessory(least.data(), total, second_threshold, settings.accessory_max_hits);
  Labels labels;
  for (const int64_t group : first) labels.push_back(second[group]);
  return numbered(labels);
}
