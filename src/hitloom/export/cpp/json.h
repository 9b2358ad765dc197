// A small reader of JSON (RFC 8259): enough for the contract of an exported file.
#pragma once

#include <cctype>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

struct Json {
  enum class Kind { null, boolean, number, text, list, object } kind = Kind::null;
  bool boolean = false;
  double number = 0.0;
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> object;

  const Json& at(const std::string& name) const {
    const auto found = object.find(name);
    if (found == object.end()) throw std::runtime_error("the contract has no field '" + name + "'");
    return found->second;
  }

  bool operator==(const Json& other) const {
    return kind == other.kind && boolean == other.boolean && number == other.number && text == other.text &&
           list == other.list && object == other.object;
  }
  bool operator!=(const Json& other) const { return !(*this == other); }
};

class JsonReader {
 public:
  explicit JsonReader(const std::string& source) : source_(source) {}

  Json read() {
    const Json value = read_value();
    skip_space();
    if (place_ != source_.size()) fail("something after its end");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("no JSON: " + what + " at byte " + std::to_string(place_));
  }

  void skip_space() {
    while (place_ < source_.size() && std::isspace(static_cast<unsigned char>(source_[place_]))) ++place_;
  }

  char peek() {
    skip_space();
    if (place_ >= source_.size()) fail("it ends too early");
    return source_[place_];
  }

  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++place_;
    return true;
  }

  void expect(char wanted) {
    if (!take(wanted)) fail(std::string("no '") + wanted + "'");
  }

  bool take_word(const std::string& word) {
    if (source_.compare(place_, word.size(), word) != 0) return false;
    place_ += word.size();
    return true;
  }

  Json read_value() {
    Json value;
    const char first = peek();
    if (first == '{') {
      value.kind = Json::Kind::object;
      ++place_;
      if (take('}')) return value;
      do {
        peek();
        const std::string name = read_text();
        expect(':');
        value.object[name] = read_value();
      } while (take(','));
      expect('}');
    } else if (first == '[') {
      value.kind = Json::Kind::list;
      ++place_;
      if (take(']')) return value;
      do value.list.push_back(read_value());
      while (take(','));
      expect(']');
    } else if (first == '"') {
      value.kind = Json::Kind::text;
      value.text = read_text();
    } else if (take_word("true") || take_word("false")) {
      value.kind = Json::Kind::boolean;
      value.boolean = first == 't';
    } else if (!take_word("null")) {
      value.kind = Json::Kind::number;
      char* end = nullptr;
      value.number = std::strtod(source_.c_str() + place_, &end);
      if (end == source_.c_str() + place_) fail("no value");
      place_ = static_cast<std::size_t>(end - source_.c_str());
    }
    return value;
  }

  std::string read_text() {
    if (place_ >= source_.size() || source_[place_] != '"') fail("no text");
    std::string text;
    for (++place_; place_ < source_.size() && source_[place_] != '"'; ++place_) {
      if (source_[place_] != '\\') {
        text += source_[place_];
        continue;
      }
      if (++place_ >= source_.size()) break;
      switch (source_[place_]) {
        case 'n': text += '\n'; break;
        case 't': text += '\t'; break;
        case 'r': text += '\r'; break;
        case 'b': text += '\b'; break;
        case 'f': text += '\f'; break;
        case 'u': text += "\\u"; break;  // kept as it stands: names of fields and features are plain
        default: text += source_[place_];
      }
    }
    if (place_ >= source_.size()) fail("a text without an end");
    ++place_;
    return text;
  }

  const std::string& source_;
  std::size_t place_ = 0;
};
