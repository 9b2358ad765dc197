// Runs an exported linking network on events and writes the partition of their tracksters.
//
//   link_tracksters MODEL.pt MODEL.pt.contract.json EVENTS.txt RESULTS.txt
//
// Everything that the program must know of the network stands in the contract: names and order of the features, order
// of the two columns of the edge index, cuts by energy. A file of another contract is refused: one line, exit code 2.
// Build (hitloom export --check-cpp does it): g++ -std=c++20 -O1 against the libtorch inside the torch wheel.

#include <torch/script.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "text_files.h"

namespace {

const char* const kContract = "hitloom-linking-contract";
const char* const kEvents = "hitloom-linking-events";
const char* const kResults = "hitloom-linking-results";
const char* const kEmbedded = "hitloom_contract.json";
constexpr int kVersion = 1;

struct Cut {
  float max_energy;
  float cut;
};

struct Contract {
  Names node_features, edge_features, index_columns;
  std::vector<Cut> cuts;
  int64_t energy_column = -1;
};

struct LinkEvent {
  int64_t id = 0, num_tracksters = 0, num_edges = 0;
  std::vector<float> nodes, edge_features;
  std::vector<int64_t> edge_index;  // rows of the columns that the contract names
};

Contract make_contract(const Json& json) {
  if (json.at("format").text != kContract || json.at("version").number != kVersion) {
    fail("the contract is '" + json.at("format").text + "' of another kind or version; wanted '" + kContract +
         "' version " + std::to_string(kVersion));
  }
  Contract contract;
  contract.node_features = names_of(json.at("node_features"), true);
  contract.edge_features = names_of(json.at("edge_features"), true);
  contract.index_columns = names_of(json.at("index_columns"));
  const auto& names = contract.node_features;
  const auto energy = std::find(names.begin(), names.end(), "raw_energy");
  if (energy == names.end()) fail("the contract has no feature 'raw_energy' to cut by");
  contract.energy_column = energy - names.begin();
  for (const Json& entry : json.at("thresholds").at("entries").list) {
    const Json& limit = entry.at("max_energy");
    const bool open = limit.kind == Json::Kind::null;
    contract.cuts.push_back({open ? std::numeric_limits<float>::infinity() : static_cast<float>(limit.number),
                             static_cast<float>(entry.at("cut").number)});
  }
  if (contract.cuts.empty() || std::isfinite(contract.cuts.back().max_energy)) {
    fail("the last threshold of the contract must hold for any energy");
  }
  return contract;
}

// What is inside the model file must say the same as the contract beside it; only the working point may differ.
void compare_contracts(const Json& beside, const std::string& inside) {
  if (inside.empty()) fail("the model file holds no contract; export it with hitloom");
  const Json embedded = JsonReader(inside).read();
  for (const auto& [name, value] : embedded.object) {
    if (name != "thresholds" && beside.at(name) != value) {
      fail("the contract beside the model differs from the one inside it in '" + name + "'");
    }
  }
}

class EventReader {
 public:
  EventReader(const std::string& path, const Contract& contract) : text_(path, kEvents, kVersion), contract_(contract) {
    text_.expect_names("node_features", contract.node_features);
    text_.expect_names("edge_features", contract.edge_features);
    text_.expect_names("index_columns", contract.index_columns);
  }

  bool next(LinkEvent& event) {
    std::string word;
    if (!text_.next_word(word)) return false;
    if (word != "event") fail(text_.path() + ": 'event' was wanted, not '" + word + "'");
    event.id = text_.read_integer();
    event.num_tracksters = text_.named_count("tracksters");
    event.num_edges = text_.named_count("edges");
    const std::size_t num_nodes = contract_.node_features.size(), num_edges = contract_.edge_features.size();
    event.nodes.clear();
    event.edge_features.clear();
    event.edge_index.clear();
    for (std::size_t i = 0; i < event.num_tracksters * num_nodes; ++i) event.nodes.push_back(text_.read_float());
    for (int64_t edge = 0; edge < event.num_edges; ++edge) {
      for (int end = 0; end < 2; ++end) {
        const int64_t row = text_.read_integer();
        if (row < 0 || row >= event.num_tracksters) {
          fail(text_.path() + ": event " + std::to_string(event.id) + ": edge " + std::to_string(edge) +
               " names trackster " + std::to_string(row) + " of " + std::to_string(event.num_tracksters));
        }
        event.edge_index.push_back(row);
      }
      for (std::size_t i = 0; i < num_edges; ++i) event.edge_features.push_back(text_.read_float());
    }
    return true;
  }

 private:
  TextReader text_;
  const Contract& contract_;
};

std::vector<float> run_network(torch::jit::Module& network, LinkEvent& event, const Contract& contract) {
  if (event.num_tracksters == 0) return {};
  const auto floats = torch::TensorOptions().dtype(torch::kFloat32);
  const auto integers = torch::TensorOptions().dtype(torch::kInt64);
  const auto num_nodes = static_cast<int64_t>(contract.node_features.size());
  const auto num_edges = static_cast<int64_t>(contract.edge_features.size());
  std::vector<torch::jit::IValue> inputs{
      torch::from_blob(event.nodes.data(), {event.num_tracksters, num_nodes}, floats),
      torch::from_blob(event.edge_features.data(), {event.num_edges, num_edges}, floats),
      torch::from_blob(event.edge_index.data(), {event.num_edges, 2}, integers)};
  const torch::Tensor found = network.forward(inputs).toTensor().to(torch::kFloat32).reshape({-1}).contiguous();
  if (found.numel() != event.num_edges) fail("the network gave another number of probabilities than there are edges");
  return {found.data_ptr<float>(), found.data_ptr<float>() + found.numel()};
}

int64_t root_of(std::vector<int64_t>& parent, int64_t row) {
  while (parent[row] != row) row = parent[row] = parent[parent[row]];
  return row;
}

// Joins the tracksters of every edge that passes, in the order of the edges; the root of `out` absorbs that of `in`.
std::vector<int64_t> link(const LinkEvent& event, const std::vector<float>& probability, const Contract& contract) {
  const int out = contract.index_columns[0] == "out" ? 0 : 1;
  const std::size_t width = contract.node_features.size();
  std::vector<int64_t> parent(event.num_tracksters);
  std::iota(parent.begin(), parent.end(), 0);
  for (int64_t edge = 0; edge < event.num_edges; ++edge) {
    const int64_t outer = event.edge_index[2 * edge + out], inner = event.edge_index[2 * edge + 1 - out];
    const float energy = std::max(event.nodes[outer * width + contract.energy_column],
                                  event.nodes[inner * width + contract.energy_column]);
    float cut = contract.cuts.back().cut;
    for (const Cut& entry : contract.cuts) {
      if (energy < entry.max_energy) {
        cut = entry.cut;
        break;
      }
    }
    if (!std::isfinite(probability[edge])) fail("a probability is not finite");
    if (probability[edge] > cut) parent[root_of(parent, inner)] = root_of(parent, outer);
  }
  for (int64_t row = 0; row < event.num_tracksters; ++row) parent[row] = root_of(parent, row);
  return parent;
}

void write_result(std::ostream& file, const LinkEvent& event, const std::vector<int64_t>& roots,
                  const std::vector<float>& probability) {
  std::unordered_map<int64_t, int64_t> label_of;  // counted by the lowest trackster of each group
  std::map<int64_t, std::vector<int64_t>> members;
  std::vector<int64_t> labels;
  for (int64_t row = 0; row < event.num_tracksters; ++row) {
    labels.push_back(label_of.emplace(roots[row], static_cast<int64_t>(label_of.size())).first->second);
    members[roots[row]].push_back(row);
  }
  file << "event " << event.id << " tracksters " << event.num_tracksters << " edges " << event.num_edges
       << " candidates " << members.size() << "\nlabels";
  for (const int64_t label : labels) file << ' ' << label;
  file << "\nprobabilities";
  for (const float value : probability) file << ' ' << value;
  file << '\n';
  for (const auto& [root, rows] : members) {
    file << "candidate " << root;
    for (const int64_t row : rows) file << ' ' << row;
    file << '\n';
  }
}

int run(const std::string& model, const std::string& contract_path, const std::string& events,
        const std::string& results) {
  const Json json = read_json(contract_path);
  const Contract contract = make_contract(json);
  torch::jit::ExtraFilesMap inside{{kEmbedded, ""}};
  torch::jit::Module network;
  try {
    network = torch::jit::load(model, torch::kCPU, inside);
  } catch (const c10::Error&) {
    fail(model + ": no TorchScript file");
  }
  compare_contracts(json, inside[kEmbedded]);
  network.eval();
  const c10::InferenceMode guard;

  EventReader reader(events, contract);
  std::ostringstream text;
  text.precision(9);
  text << kResults << ' ' << kVersion << '\n';
  LinkEvent event;
  int64_t count = 0;
  for (; reader.next(event); ++count) {
    const std::vector<float> probability = run_network(network, event, contract);
    write_result(text, event, link(event, probability, contract), probability);
  }
  write_text(results, text.str());
  std::cout << count << " events\n";
  return 0;
}

}  // namespace

int main(int num_arguments, char** arguments) {
  if (num_arguments != 5) {
    std::cerr << "usage: link_tracksters MODEL.pt CONTRACT.json EVENTS.txt RESULTS.txt\n";
    return 2;
  }
  return guarded("link_tracksters", [&] { return run(arguments[1], arguments[2], arguments[3], arguments[4]); });
}
