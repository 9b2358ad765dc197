// What the programs share: reading words and numbers from a text file, a JSON file, and errors of one line.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "json.h"

using Names = std::vector<std::string>;

[[noreturn]] inline void fail(const std::string& what) { throw std::runtime_error(what); }

inline Json read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(path + ": cannot be read");
  std::stringstream text;
  text << file.rdbuf();
  const std::string source = text.str();
  return JsonReader(source).read();
}

inline Names names_of(const Json& list, bool inside = false) {
  Names names;
  for (const Json& item : list.list) names.push_back(inside ? item.at("name").text : item.text);
  return names;
}

// A text file of words. Its first line names its kind and version.
class TextReader {
 public:
  TextReader(const std::string& path, const std::string& kind, int wanted_version) : path_(path), file_(path) {
    if (!file_) fail(path + ": cannot be read");
    std::string format;
    int version = 0;
    file_ >> format >> version;
    if (format != kind || version != wanted_version) {
      fail(path + ": no " + kind + " of version " + std::to_string(wanted_version));
    }
  }

  const std::string& path() const { return path_; }

  bool next_word(std::string& word) { return static_cast<bool>(file_ >> word); }

  void expect_names(const std::string& key, const Names& wanted) {
    if (read_names(key) != wanted) fail(path_ + ": its " + key + " are not those of the contract");
  }

  Names read_names(const std::string& key) {
    std::string word, line;
    file_ >> word;
    std::getline(file_, line);
    std::istringstream words(line);
    Names found;
    for (std::string name; words >> name;) found.push_back(name);
    if (word != key) fail(path_ + ": '" + key + "' was wanted, not '" + word + "'");
    return found;
  }

  int64_t named_count(const std::string& name) {
    std::string word;
    file_ >> word;
    const int64_t count = read_integer();
    if (word != name || count < 0) fail(path_ + ": '" + name + "' and a count were wanted");
    return count;
  }

  int64_t read_integer() {
    int64_t value = 0;
    if (!(file_ >> value)) fail(path_ + ": it ends too early, or an integer is missing");
    return value;
  }

  float read_float() {
    std::string word;
    if (!(file_ >> word)) fail(path_ + ": it ends too early");
    char* end = nullptr;
    const float value = std::strtof(word.c_str(), &end);
    if (*end != '\0' || !std::isfinite(value)) fail(path_ + ": '" + word + "' is no finite number");
    return value;
  }

 private:
  std::string path_;
  std::ifstream file_;
};

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) fail(path + ": cannot be written");
}

// Runs a program; whatever goes wrong is one line and exit code 2.
template <typename Body>
int guarded(const std::string& program, Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    std::cerr << program << ": " << text.substr(0, text.find('\n')) << '\n';
    return 2;
  }
}
