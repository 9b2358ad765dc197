// Runs the three exported parts of a shower growing network on wire views and writes the groups of their 2D clusters.
//
//   grow_showers SIDECAR.json EVENTS.txt RESULTS.txt [--similarity]
//
// The sidecar lies beside the three TorchScript files and names them. Its settings have the names of the XML keys that
// configure the algorithm in the reconstruction chain; hits become features here, by these settings alone. A network
// that wants other features is refused: one line, exit code 2.
// Build (hitloom export --to pandora --check-cpp does it): g++ -std=c++20 -O1 against the libtorch in the torch wheel.
//
// N clusters, M hits, F features of a hit, e and a widths of the vectors of clusters.

#include <torch/script.h>

#include "grouping.h"
#include "text_files.h"

namespace {

const char* const kSidecar = "hitloom-pandora";
const char* const kEvents = "hitloom-shower-events";
const char* const kResults = "hitloom-shower-results";
constexpr int kVersion = 1;
const Names kHitColumns{"x", "z", "x_width", "x_gap", "pitch", "energy", "tpc_volume", "daughter_volume"};

struct Hit {
  double x = 0, z = 0, x_width = 0, x_gap = 0, pitch = 0, energy = 0;
  int64_t tpc_volume = 0, daughter_volume = 0;
};

using Cluster = std::vector<int64_t>;  // rows of hits

struct View {
  int64_t id = 0, code = 0;
  std::vector<Hit> hits;
  std::vector<Cluster> clusters;
};

struct Settings {
  bool gap = true, cardinality = true, iteration = false;
  std::vector<int64_t> tpc_volumes, daughter_volumes;
  double polar_r = 0, cartesian_x = 0, cartesian_z = 0;
  int64_t max_iterations = 1;
  GroupingSettings grouping;
};

struct Networks {
  torch::jit::Module encoder, attention, similarity;
};

std::vector<int64_t> integers_of(const Json& list) {
  std::vector<int64_t> values;
  for (const Json& item : list.list) values.push_back(static_cast<int64_t>(item.number));
  return values;
}

// What the features built here are called, in their order.
Names feature_names(const Settings& settings) {
  Names names{"r", "cos", "sin", "x", "z", "x_width", "pitch"};
  if (settings.gap) names.push_back("x_gap");
  for (const char* name : {"energy", "view_u", "view_v", "view_w"}) names.push_back(name);
  for (std::size_t i = 0; i < settings.tpc_volumes.size(); ++i) {
    names.push_back("volume_" + std::to_string(settings.tpc_volumes[i]) + std::to_string(settings.daughter_volumes[i]));
  }
  if (settings.cardinality) {
    names.push_back("num_hits");
    names.push_back("num_clusters");
  }
  if (settings.iteration) names.push_back("tier");
  return names;
}

Settings make_settings(const Json& sidecar) {
  if (sidecar.at("format").text != kSidecar || sidecar.at("version").number != kVersion) {
    fail("the sidecar is '" + sidecar.at("format").text + "' of another kind or version; wanted '" + kSidecar +
         "' version " + std::to_string(kVersion));
  }
  const Json& xml = sidecar.at("settings");
  Settings settings;
  settings.gap = xml.at("IncludeDistToXGapFeature").boolean;
  settings.cardinality = xml.at("IncludeHitCardinalityFeatures").boolean;
  settings.iteration = xml.at("IncludeHitNIterationNumFeature").boolean;
  settings.tpc_volumes = integers_of(xml.at("EncodeLArTPCVolIDs"));
  settings.daughter_volumes = integers_of(xml.at("EncodeDaughterVolIDs"));
  if (settings.tpc_volumes.size() != settings.daughter_volumes.size()) {
    fail("EncodeLArTPCVolIDs and EncodeDaughterVolIDs must be of one length");
  }
  settings.polar_r = xml.at("PolarRScaleFactor").number;
  settings.cartesian_x = xml.at("CartesianXScaleFactor").number;
  settings.cartesian_z = xml.at("CartesianZScaleFactor").number;
  settings.max_iterations = static_cast<int64_t>(xml.at("MaxIterations").number);
  settings.grouping = {static_cast<float>(xml.at("SimilarityThreshold").number),
                       xml.at("SimilarityThresholdBeta").number,
                       static_cast<int64_t>(xml.at("AccessoryClusterMaxHits").number)};
  if (names_of(sidecar.at("columns"), true) != feature_names(settings)) {
    fail("the settings of the sidecar build other features than the network was trained with");
  }
  return settings;
}

torch::jit::Module load_part(const std::string& folder, const Json& sidecar, const std::string& part) {
  const std::string path = folder + sidecar.at("parts").at(part).at("file").text;
  try {
    torch::jit::Module network = torch::jit::load(path, torch::kCPU);
    network.eval();
    return network;
  } catch (const c10::Error&) {
    fail(path + ": no TorchScript file");
  }
}

class ViewReader {
 public:
  explicit ViewReader(const std::string& path, const Settings& settings) : text_(path, kEvents, kVersion) {
    columns_ = text_.read_names("hit_columns");
    for (const std::string& name : columns_) {
      if (std::find(kHitColumns.begin(), kHitColumns.end(), name) == kHitColumns.end()) {
        fail(path + ": unknown column '" + name + "' of hits");
      }
    }
    for (const char* name : {"x", "z", "x_width", "pitch", "energy"}) want(name, true);
    want("x_gap", settings.gap);
    want("tpc_volume", !settings.tpc_volumes.empty());
    want("daughter_volume", !settings.tpc_volumes.empty());
  }

  bool next(View& view) {
    std::string word;
    if (!text_.next_word(word)) return false;
    if (word != "event") fail(text_.path() + ": 'event' was wanted, not '" + word + "'");
    view.id = text_.read_integer();
    view.code = text_.named_count("view");
    const std::string where = text_.path() + ": event " + std::to_string(view.id);
    if (view.code < 4 || view.code > 6) fail(where + ": view " + std::to_string(view.code) + ", wanted 4, 5 or 6");
    view.clusters.assign(text_.named_count("clusters"), {});
    view.hits.assign(text_.named_count("hits"), {});
    for (std::size_t row = 0; row < view.hits.size(); ++row) {
      const int64_t cluster = text_.read_integer();
      if (cluster < 0 || cluster >= static_cast<int64_t>(view.clusters.size())) {
        fail(where + ": hit " + std::to_string(row) + " names cluster " + std::to_string(cluster) + " of " +
             std::to_string(view.clusters.size()));
      }
      view.clusters[cluster].push_back(static_cast<int64_t>(row));
      for (const std::string& name : columns_) set(view.hits[row], name, text_.read_float());
    }
    for (std::size_t row = 0; row < view.clusters.size(); ++row) {
      if (view.clusters[row].empty()) fail(where + ": cluster " + std::to_string(row) + " has no hits");
    }
    return true;
  }

 private:
  void want(const std::string& name, bool wanted) const {
    if (wanted && std::find(columns_.begin(), columns_.end(), name) == columns_.end()) {
      fail(text_.path() + ": column '" + name + "' of the hits is needed and not in the file");
    }
  }

  static void set(Hit& hit, const std::string& name, float value) {
    if (name == "x") hit.x = value;
    if (name == "z") hit.z = value;
    if (name == "x_width") hit.x_width = value;
    if (name == "x_gap") hit.x_gap = value;
    if (name == "pitch") hit.pitch = value;
    if (name == "energy") hit.energy = value;
    if (name == "tpc_volume") hit.tpc_volume = static_cast<int64_t>(value);
    if (name == "daughter_volume") hit.daughter_volume = static_cast<int64_t>(value);
  }

  TextReader text_;
  Names columns_;
};

// The features of the hits of one cluster [1, n_hits, F]. The energy is not limited: the network does that.
torch::Tensor cluster_features(const View& view, const Cluster& cluster, int64_t num_clusters, int64_t iteration,
                               const Settings& settings) {
  std::vector<float> values;
  const auto add = [&values](double value) { values.push_back(static_cast<float>(value)); };
  for (const int64_t row : cluster) {
    const Hit& hit = view.hits[row];
    const double radius = std::hypot(hit.x, hit.z);
    add(radius * settings.polar_r);
    add(radius > 0 ? hit.x / radius : 0.0);
    add(radius > 0 ? hit.z / radius : 0.0);
    add(hit.x * settings.cartesian_x);
    add(hit.z * settings.cartesian_z);
    add(hit.x_width * settings.cartesian_x);
    add(hit.pitch * settings.cartesian_z);
    if (settings.gap) add(hit.x_gap * settings.cartesian_x);
    add(std::log(hit.energy));
    for (const int64_t code : {4, 5, 6}) add(view.code == code ? 1.0 : 0.0);
    for (std::size_t i = 0; i < settings.tpc_volumes.size(); ++i) {
      const bool same_tpc = hit.tpc_volume == settings.tpc_volumes[i];
      add(same_tpc && hit.daughter_volume == settings.daughter_volumes[i] ? 1.0 : 0.0);
    }
    if (settings.cardinality) {
      add(std::log(static_cast<double>(cluster.size())));
      add(std::log(static_cast<double>(num_clusters)));
    }
    if (settings.iteration) add(std::log(static_cast<double>(iteration)));
  }
  const auto num_hits = static_cast<int64_t>(cluster.size());
  return torch::tensor(values).reshape({1, num_hits, static_cast<int64_t>(values.size()) / num_hits});
}

// The similarity [1, N, N] of clusters, contiguous.
torch::Tensor similarity_of(const View& view, const std::vector<Cluster>& clusters, int64_t iteration,
                            const Settings& settings, Networks& networks) {
  const auto size = static_cast<int64_t>(clusters.size());
  std::vector<torch::Tensor> vectors;
  for (const Cluster& cluster : clusters) {
    const torch::Tensor features = cluster_features(view, cluster, size, iteration, settings);
    vectors.push_back(networks.encoder.forward({features}).toTensor());
  }
  const torch::Tensor context = networks.attention.forward({torch::cat(vectors, 1)}).toTensor();
  const torch::Tensor similarity = networks.similarity.forward({context}).toTensor().contiguous();
  if (similarity.sizes() != torch::IntArrayRef({1, size, size}) || similarity.scalar_type() != torch::kFloat32) {
    fail("the network gave another matrix than clusters times clusters of float32");
  }
  if (similarity.sum().isnan().item<bool>()) fail("event " + std::to_string(view.id) + ": a similarity is no number");
  return similarity;
}

std::vector<Cluster> merged(const std::vector<Cluster>& clusters, const Labels& labels) {
  std::vector<Cluster> result(num_groups(labels));
  for (std::size_t row = 0; row < clusters.size(); ++row) {
    result[labels[row]].insert(result[labels[row]].end(), clusters[row].begin(), clusters[row].end());
  }
  return result;
}

void write_row(std::ostream& text, const std::string& name, const auto& values) {
  text << name;
  for (const auto value : values) text << ' ' << value;
  text << '\n';
}

// Groups, merges and groups again until nothing merges.
void grow(std::ostream& text, const View& view, const Settings& settings, Networks& networks, bool with_similarity) {
  std::vector<Cluster> clusters = view.clusters;
  Labels total(clusters.size());
  std::iota(total.begin(), total.end(), 0);
  std::vector<float> first;
  int64_t merges = 0;
  for (int64_t iteration = 1; iteration <= settings.max_iterations; ++iteration) {
    if (clusters.size() < 2 && !with_similarity) break;
    if (clusters.empty()) break;
    const torch::Tensor similarity = similarity_of(view, clusters, iteration, settings, networks);
    const float* values = similarity.data_ptr<float>();
    if (iteration == 1) first.assign(values, values + similarity.numel());
    std::vector<int64_t> num_hits;
    for (const Cluster& cluster : clusters) num_hits.push_back(static_cast<int64_t>(cluster.size()));
    const Labels labels = group_clusters(values, num_hits, settings.grouping);
    if (num_groups(labels) == static_cast<int64_t>(labels.size())) break;
    for (int64_t& label : total) label = labels[label];
    clusters = merged(clusters, labels);
    ++merges;
  }
  text << "event " << view.id << " clusters " << view.clusters.size() << " groups " << clusters.size() << " merges "
       << merges << '\n';
  write_row(text, "labels", numbered(total));
  if (with_similarity) write_row(text, "similarity", first);
}

int run(const std::string& sidecar_path, const std::string& events, const std::string& results, bool with_similarity) {
  const Json sidecar = read_json(sidecar_path);
  const Settings settings = make_settings(sidecar);
  const std::size_t slash = sidecar_path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "" : sidecar_path.substr(0, slash + 1);
  Networks networks{load_part(folder, sidecar, "encoder"), load_part(folder, sidecar, "attention"),
                    load_part(folder, sidecar, "similarity")};
  const c10::InferenceMode guard;
  ViewReader reader(events, settings);
  std::ostringstream text;
  text.precision(9);
  text << kResults << ' ' << kVersion << '\n';
  View view;
  int64_t count = 0;
  for (; reader.next(view); ++count) grow(text, view, settings, networks, with_similarity);
  write_text(results, text.str());
  std::cout << count << " views\n";
  return 0;
}

}  // namespace

int main(int num_arguments, char** arguments) {
  const bool with_similarity = num_arguments == 5 && std::string(arguments[4]) == "--similarity";
  if (num_arguments != 4 && !with_similarity) {
    std::cerr << "usage: grow_showers SIDECAR.json EVENTS.txt RESULTS.txt [--similarity]\n";
    return 2;
  }
  return guarded("grow_showers", [&] { return run(arguments[1], arguments[2], arguments[3], with_similarity); });
}
